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
