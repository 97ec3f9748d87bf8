package contexts

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestASetIsReadAsItWasSavedAndIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "contexts.json")
	s, err := Load(path)
	if err != nil || len(s.Contexts) != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := s.Get("prod"); err == nil || !strings.Contains(err.Error(), "rpcnet context add prod") {
		t.Error(err)
	}
	s.Current = "prod"
	s.Contexts["prod"] = Context{Addr: "10.0.0.1:61000", Dir: "/etc/rpcnet"}
	for range 2 { // the second time over the first
		if err := s.Save(path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Load(path)
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("%+v, %v, want %+v", got, err, s)
	}
	if _, err := got.Get("test"); err == nil || !strings.Contains(err.Error(), "there are prod") {
		t.Error(err)
	}
	for path, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

func TestLoadRefusesWhatIsNoFileOfContexts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{":                            "mend the file",
		`{"contxts":{}}`:               "contxts",
		strings.Repeat(" ", maxFile+1): "at most",
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}

func TestNamesAreWordsOfAShell(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"prod", "a.b-c_d", "7", strings.Repeat("a", 64)} {
		if err := CheckName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "-addr", ".", "a b", "$x", "é", strings.Repeat("a", 65)} {
		if CheckName(name) == nil {
			t.Errorf("%q is allowed", name)
		}
	}
}
