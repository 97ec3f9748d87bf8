package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// sources makes a tree of small files.
func sources(t *testing.T, files map[string]string) tree {
	t.Helper()
	var tr tree
	for path, text := range files {
		f, err := parseFile(path, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		tr.files = append(tr.files, f)
	}
	return tr
}

func wantCounts(t *testing.T, got []count, want ...count) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestExportedNames(t *testing.T) {
	t.Parallel()
	tr := sources(t, map[string]string{
		"a.go": `package root
const A, b = 1, 2
var C, D int
type ( E struct{ Field int }; f int; G = E )
func H() {}
func (E) Method() {}
func i() {}`,
		"a_linux.go":                "package root\nfunc Here() {}\n",
		"a_other.go":                "package root\nfunc Here() {}\n",
		"sub/s.go":                  "package sub\ntype T[X any] struct{}\n",
		"sub/cmd/main.go":           "package main\nfunc Exported() {}\n",
		"internal/x/x.go":           "package x\nfunc X() {}\n",
		"sub/internal/y/y.go":       "package y\nfunc Y() {}\n",
		"examples/greeting/g.go":    "package greeting\nfunc G() {}\n",
		"internals/not_internal.go": "package internals\nvar V int\n",
	})
	wantCounts(t, exported(tr), count{".", 7}, count{"internals", 1}, count{"sub", 1})
}

func TestFieldsOfStructs(t *testing.T) {
	t.Parallel()
	tr := sources(t, map[string]string{"p/a.go": `package p
type Embedded struct{}
type S struct {
	Embedded
	*T
	a, b int
	sub struct{ x, y int }
}
type T struct{ one int }
type notAStruct int
func f() { type local struct{ a, b int } }`})
	wantCounts(t, structs(tr), count{"p/a.go:3 S", 5}, count{"p/a.go:11 local", 2}, count{"p/a.go:9 T", 1}, count{"p/a.go:2 Embedded", 0})
}

func TestMethodsSpreadOverFiles(t *testing.T) {
	t.Parallel()
	tr := sources(t, map[string]string{
		"p/a.go": "package p\nfunc (T) a() {}\nfunc (*T) b() {}\nfunc (g *G[K, V]) c() {}\nfunc free() {}\n",
		"p/b.go": "package p\nfunc (t *T) d() {}\n",
		"p/c.go": "package p\nfunc (G[K, V]) e() {}\nfunc (one One[X]) f() {}\n",
		"q/a.go": "package q\nfunc (T) a() {}\n",
	})
	wantCounts(t, spread(tr), count{"p G", 2}, count{"p T", 2}, count{"p One", 1}, count{"q T", 1})
}

func TestLinesOfFunctions(t *testing.T) {
	t.Parallel()
	tr := sources(t, map[string]string{"p/a.go": `package p

// A comment does not count.
func one() {}

func (t *T) four(
	a int,
) {
}`})
	wantCounts(t, functions(tr), count{"p/a.go:6 T.four", 4}, count{"p/a.go:4 one", 1})
}

func TestLinesThatAreComments(t *testing.T) {
	t.Parallel()
	tr := sources(t, map[string]string{
		"p/a.go":          "// Package p\n// is here.\npackage p\n\nvar a int // not this one\n/* but\nthese */\nvar b /* neither */ int\n",
		"p/b.go":          "package p\n\n",
		"q/a.go":          "package q\n// one of two\n",
		"cmd/c/a.go":      "package main\n\n\n",
		"examples/e/a.go": "package e\n\n\n",
	})
	packages, all := density(tr)
	wantCounts(t, packages, count{"q", 50}, count{"p", 40}) // 4 of 10
	if all != 41 {                                          // 5 of 12
		t.Errorf("%d %% of all, want 41", all)
	}
}

func TestIdiomsInComments(t *testing.T) {
	t.Parallel()
	tr := sources(t, map[string]string{
		"p/a.go": "// Package p is told.\npackage p\n\n// It maybe is whomever.\nvar nobody = \"whom\" // to whom\n// Nobody may be, and\n// this is not.\n",
		"p/b.go": "package p\n",
	})
	lines, files := idiomatic(tr)
	if want := []string{"p/a.go:1: // Package p is told.", "p/a.go:6: // Nobody may be, and"}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
	wantCounts(t, files, count{"p/a.go", 2}, count{"p/b.go", 0})
}

func TestBodiesThatStandTwice(t *testing.T) {
	t.Parallel()
	const body = "{\nif ok {\nreturn 1 %s\n}\nreturn 2\n}\n"
	tr := sources(t, map[string]string{
		"p/a.go": "package p\nfunc a(ok bool) int " + fmt.Sprintf(body, "// a comment"),
		"p/b.go": "package p\nfunc short() int {\nreturn 1\n}\nfunc another() int {\nreturn 1\n}\nfunc other(ok bool) int " + strings.Replace(body, "2", "3", 1),
	})
	tr.tests = sources(t, map[string]string{"q/q_test.go": "package q\nfunc (T) b(ok bool) int " + fmt.Sprintf(body, "")}).files
	tr.files = append(tr.files, sources(t, map[string]string{"examples/e.go": "package e\nfunc c(ok bool) int " + fmt.Sprintf(body, "")}).files...)
	wantCounts(t, duplicates(tr), count{"p/a.go:2 a, q/q_test.go:2 b", 2})
}

func TestFilesOfWays(t *testing.T) {
	t.Parallel()
	const page = "# A\n`before.go`\n## The four ways\n`between.go`\n### A call\n" +
		"1. `client.go` `Client.Unary`, then `internal/session/send.go:12`\n2. `client.go Client.Stream`, `not a file`\n" +
		"### A packet\nnothing\n## Next\n### Elsewhere\n`after.go`\n"
	got := readWays(bufio.NewScanner(strings.NewReader(page)))
	want := []way{{"A call", []string{"client.go", "internal/session/send.go"}}, {name: "A packet"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What is no code of the module is left out, and what is over a limit is named.
func TestReport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	long := "package p\nfunc long() {\n" + strings.Repeat("\n", 79) + "}\n"
	for path, text := range map[string]string{
		"go.mod":             "module m\n",
		"root.go":            "package m\nfunc Root() {}\n",
		"root_test.go":       "package m\n// nobody\nfunc Test() {}\n",
		"p/long.go":          long,
		"p/gen.go":           "// Code generated by x. DO NOT EDIT.\n\n" + long,
		"p/testdata/t.go":    "not Go",
		"nested/go.mod":      "module n\n",
		"nested/n.go":        "package n\nfunc Nested() {}\n",
		"p/long_file.go":     "package p\n" + strings.Repeat("// line\n", 500),
		"p/just_in_limit.go": "package p\n" + strings.Repeat("// line\n", 499),
	} {
		name := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := readTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := report(&out, tr); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"exported names of the root 1 <= 60 exported", // met: no mark
		"exported names of all packages 1 <= 250 fields",
		"lines of the longest function 81 <= 80 not yet",
		"functions over 80 lines 1 none not yet",
		"functions over 80 lines, to reach none: 81 p/long.go:2 long",
		"files over 500 lines 1 none not yet",
		"files over 500 lines, to reach none: 501 p/long_file.go",
		"unknown: no ARCHITECTURE.md",
		"percent of the lines of the library 92 >= 22",
		"packages with fewer than 22 % 1 none not yet",
		"with idioms, see -idioms 0 none function",
		"word for word 0 none",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
	for _, not := range []string{"nested/", "gen.go", "p/just_in_limit.go", "testdata"} {
		if strings.Contains(got, not) {
			t.Errorf("the report names %s:\n%s", not, out.String())
		}
	}
}

func TestReportNamesNoMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for i := range maxOffenders + 3 {
		files[fmt.Sprintf("p/f%d.go", i)] = "package p\n" + strings.Repeat("\n", maxFile)
	}
	var out bytes.Buffer
	if err := report(&out, sources(t, files)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "and 3 more\n") {
		t.Errorf("the report has no end of its list:\n%s", out.String())
	}
}
