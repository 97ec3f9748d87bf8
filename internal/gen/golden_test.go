package gen_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/gen"
	_ "github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/names" // compiles
)

var update = flag.Bool("update", false, "rewrite golden files")

func folders(t *testing.T, glob string) (patterns []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", glob))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if fi, err := os.Stat(n); err == nil && fi.IsDir() {
			patterns = append(patterns, "./"+filepath.ToSlash(n))
		}
	}
	if len(patterns) == 0 {
		t.Fatalf("no folder matches %s", glob)
	}
	return patterns
}

func generate(t *testing.T, o gen.Options) *gen.Result {
	t.Helper()
	res, err := gen.Generate(o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestGeneratedFilesAreAsCommitted compares what is generated with the files
// that the other tests compile and run.
func TestGeneratedFilesAreAsCommitted(t *testing.T) {
	t.Parallel()
	res := generate(t, gen.Options{Patterns: folders(t, "golden/*")})
	for _, d := range res.Diags {
		t.Error(d)
	}
	if *update {
		if _, err := gen.Write(res); err != nil {
			t.Fatal(err)
		}
	}
	wrong, err := gen.Check(res)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrong {
		t.Errorf("%s:%d: %s", w.Name, w.Line, w.Message())
	}
	if len(res.Files) < 6 {
		t.Errorf("%d files", len(res.Files))
	}
}

func TestOutputIsTheSameEveryTime(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	patterns := []string{"./testdata/golden/kinds", "./testdata/golden/shared"}
	first := generate(t, gen.Options{Patterns: patterns})
	for i := range 19 {
		runtime.GOMAXPROCS(1 + i%3)
		if i%2 == 1 {
			slices.Reverse(patterns)
		}
		again := generate(t, gen.Options{Patterns: patterns})
		for _, f := range again.Files {
			j := slices.IndexFunc(first.Files, func(o gen.File) bool { return o.Name == f.Name })
			if j < 0 || !bytes.Equal(first.Files[j].Src, f.Src) {
				t.Fatalf("run %d: %s differs", i+2, f.Name)
			}
		}
	}
}

// TestBadDefinitions loads every bad package in one go and compares all that
// is said about them.
func TestBadDefinitions(t *testing.T) {
	t.Parallel()
	patterns := folders(t, "bad/*")
	res := generate(t, gen.Options{Patterns: patterns})
	var b bytes.Buffer
	said := map[string]bool{}
	for _, d := range res.Diags {
		dir := filepath.Base(filepath.Dir(d.Pos.Filename))
		d.Pos.Filename = dir + "/" + filepath.Base(d.Pos.Filename)
		said[dir] = true
		fmt.Fprintln(&b, d)
	}
	for _, p := range patterns {
		if !said[filepath.Base(p)] {
			t.Errorf("nothing is said about %s", p)
		}
	}
	if len(patterns) < 50 {
		t.Errorf("%d bad definitions, want at least 50", len(patterns))
	}
	golden := filepath.Join("testdata", "bad.golden")
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, wantLines := strings.Split(b.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(wantLines)) {
		line := func(s []string) string {
			if i < len(s) {
				return s[i]
			}
			return "(nothing)"
		}
		if line(got) != line(wantLines) {
			t.Fatalf("line %d (go test -update rewrites %s):\n got %s\nwant %s", i+1, golden, line(got), line(wantLines))
		}
	}
}

// TestFileNamesAreCheckedOnEveryPlatform: go build does not show a file that is
// named after another platform, nor a folder with nothing else.
func TestFileNamesAreCheckedOnEveryPlatform(t *testing.T) {
	const def = "package app\n"
	dir := t.TempDir()
	for name, src := range map[string]string{"go.mod": "module example.com/app\n\ngo 1.26.0\n", "a/a.go": def,
		"a/api_linux.rpc.go": def, "b/api_linux.rpc.go": def, "c/api_windows.rpc.go": def,
		"testdata/api_linux.rpc.go": def, "d/go.mod": "module example.com/d\n", "d/api_linux.rpc.go": def} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, platform := range []string{"linux/amd64", "windows/arm64", "plan9/386"} {
		os, arch, _ := strings.Cut(platform, "/")
		t.Setenv("GOOS", os)
		t.Setenv("GOARCH", arch)
		for _, c := range []struct {
			o    gen.Options
			want int
		}{
			{gen.Options{Patterns: folders(t, "bad/98*")}, 1},
			{gen.Options{Patterns: folders(t, "bad/99*")}, 1},
			{gen.Options{Patterns: folders(t, "bad/9[89]*")}, 2},
			{gen.Options{Dir: dir, Patterns: []string{"./..."}}, 3},
			{gen.Options{Dir: dir, Patterns: []string{"example.com/app/..."}}, 3},
			{gen.Options{Dir: dir, Patterns: []string{"./a", "./b/..."}}, 2},
		} {
			res := generate(t, c.o)
			for _, d := range res.Diags {
				if !strings.Contains(d.Msg, "limits it to one platform") || d.Pos.Line != 1 || d.Pos.Column != 1 {
					t.Errorf("%s, %v: %v", platform, c.o.Patterns, d)
				}
			}
			if len(res.Diags) != c.want {
				t.Errorf("%s, %v: %v, want %d", platform, c.o.Patterns, res.Diags, c.want)
			}
		}
	}
}
