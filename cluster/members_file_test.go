package cluster

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTheMembersFileComesBackAsItWasWritten(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "members.json")
	for range 2 { // made, then replaced
		err := writeMembers(file, membersFile{Version: membersFileVersion, Cluster: "c", Members: []rememberedMember{
			{Name: "a", Addr: "127.0.0.1:1"}, {Name: "b", Addr: "[::1]:2", ServerName: "b.example"}, {Name: "a", Addr: "127.0.0.1:1"},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := readMembers(f, "c"); err != nil || !slices.Equal(addrsOf(got), []string{"127.0.0.1:1", "[::1]:2"}) || got[1].ServerName != "b.example" {
		t.Errorf("%v, %v", got, err)
	}
	if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestABadMembersFileIsNoReasonNotToStart(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":              "unexpected end",
		"{}":            "version 0",
		`{"version":1}`: `of cluster ""`,
		`{"version":1,"cluster":"c","members":[{"addr":"x"}]}`:           `"x" is not an address`,
		`{"version":1,"cluster":"c","members":[{"addr":"127.0.0.1:0"}]}`: "not an address",
		strings.Repeat(" ", maxMembersFileSize+1):                        "larger than",
	} {
		if _, err := readMembers(strings.NewReader(text), "c"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func FuzzMembersFile(f *testing.F) {
	f.Add(`{"version":1,"cluster":"c","members":[{"name":"a","addr":"127.0.0.1:1"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		if addrs, err := readMembers(strings.NewReader(text), "c"); err == nil && len(addrs) > maxRemembered {
			t.Errorf("%d addresses", len(addrs))
		}
	})
}

func addrsOf(members []rememberedMember) (addrs []string) {
	for _, m := range members {
		addrs = append(addrs, m.Addr)
	}
	return addrs
}
