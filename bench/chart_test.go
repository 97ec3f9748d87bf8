package main

import (
	"bytes"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the files in testdata anew")

// golden compares with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what is written now; look at both, then go test -update\ngot:\n%s", path, got)
	}
}

// charted are results of three libraries at three sizes and at two numbers of callers.
func charted() (*plan, results) {
	p := &plan{
		libraries:   []*library{rpcnetRaw, grpcGo, drpcGo, directTen},
		cells:       slices.Concat([]cell{unaryCell(32, 1)}, unaryCells([]int{32, 1 << 10, 16 << 10}, []int{64})),
		repetitions: 1,
	}
	return p, results{
		unaryCell(32, 1):      {rpcnetRaw: {Rate: 20_000, P50: 40}, grpcGo: {Rate: 8000, P50: 110}, drpcGo: {Rate: 12_000, P50: 70}},
		unaryCell(32, 64):     {rpcnetRaw: {Rate: 480_000, P50: 120}, grpcGo: {Rate: 60_000, P50: 1000}, drpcGo: {Rate: 12_500, P50: 5000}},
		unaryCell(1<<10, 64):  {rpcnetRaw: {Rate: 210_000, P50: 300}, grpcGo: {Rate: 48_000, P50: 1300}, drpcGo: {Rate: 11_000, P50: 5900}},
		unaryCell(16<<10, 64): {rpcnetRaw: {Rate: 40_000, P50: 1600}, grpcGo: {Rate: 18_500, P50: 3500}},
	}
}

func TestChartsAreDrawnAsTheyWere(t *testing.T) {
	t.Parallel()
	p, r := charted()
	all := pictures(p, r)
	if len(all) != 2 {
		t.Fatalf("%d charts, want 2", len(all))
	}
	for _, c := range all {
		svg := c.svg()
		golden(t, c.file, svg)
		dec := xml.NewDecoder(bytes.NewReader(svg))
		for {
			if _, err := dec.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s is no XML: %v", c.file, err)
			}
		}
	}
}

func TestAChartWithoutTwoPointsIsLeftOut(t *testing.T) {
	t.Parallel()
	p, r := charted()
	p.cells = p.cells[:1] // one caller of one size
	if all := pictures(p, r); len(all) != 0 {
		t.Errorf("%d charts of one number each", len(all))
	}
}

func TestPlacesInAChartFollowTheLogarithm(t *testing.T) {
	t.Parallel()
	lines := []line{{name: "a", points: []point{{1, 30}, {100, 3000}}}}
	c := chartOf("", "", "", []tick{{1, "1"}, {100, "100"}}, lines)
	if !slices.Equal(c.grid, []float64{20, 50, 100, 200, 500, 1000, 2000, 5000}) {
		t.Errorf("grid from 30 to 3000: %v", c.grid)
	}
	if left, middle, right := c.x(1), c.x(10), c.x(100); left != leftSpace || right != chartWidth-rightSpace || middle != (left+right)/2 {
		t.Errorf("1, 10 and 100 are at %v, %v and %v", left, middle, right)
	}
	if bottom, top := c.y(20), c.y(5000); bottom != chartHeight-downSpace || top != topSpace {
		t.Errorf("20 is at %v, 5000 at %v", bottom, top)
	}
	if exact := roundNumbers(1000, 2000); !slices.Equal(exact, []float64{1000, 2000}) {
		t.Errorf("grid from 1000 to 2000: %v", exact)
	}
}

func TestNamesInAChartDoNotCoverEachOther(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ ys, want []float64 }{
		{[]float64{100, 200}, []float64{100, 200}},
		{[]float64{100, 105, 106}, []float64{100, 117, 134}},
		{[]float64{290, 295, 300}, []float64{266, 283, 300}},
		{[]float64{-5, 60}, []float64{10, 60}},
	} {
		got := slices.Clone(test.ys)
		if apart(got, 10, 300); !slices.Equal(got, test.want) {
			t.Errorf("%v moved apart: %v, want %v", test.ys, got, test.want)
		}
	}
}

func TestEveryLibraryOfAChartHasAColorOfItsOwn(t *testing.T) {
	t.Parallel()
	if len(chartLibraries) != len(lineColors) {
		t.Errorf("%d libraries, %d colors", len(chartLibraries), len(lineColors))
	}
	for _, l := range libraries {
		calls := l.measures(unaryCell(32, 64)) && l.measures(unaryCell(1<<10, 64))
		if slices.Contains(chartLibraries, l) != calls {
			t.Errorf("%s: is in the charts: %v, is measured for them: %v", l.name, !calls, calls)
		}
	}
}

func TestPageKeepsWhatIsWrittenByHand(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for _, s := range sections {
		text.WriteString("By hand.\n<!-- bench " + s.name + " begin -->\nold\n<!-- bench " + s.name + " end -->\n")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "page.md")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	pg, err := openPage(path)
	if err != nil {
		t.Fatal(err)
	}
	p, r := charted()
	for range 2 { // the second run replaces what the first one wrote
		if err := pg.update(p, r); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(got), "By hand.\n<!-- bench"); n != len(sections) || bytes.Contains(got, []byte("old\n")) {
		t.Errorf("%d lines by hand of %d, and the old ones are there: %v\n%s", n, len(sections), bytes.Contains(got, []byte("old\n")), got)
	}
	if n := strings.Count(string(got), "### Unary calls of 1 KiB"); n != 1 {
		t.Errorf("%d tables of 1 KiB, want 1", n)
	}
	for _, c := range pictures(p, r) {
		if _, err := os.Stat(filepath.Join(dir, c.file)); err != nil {
			t.Error(err)
		}
	}
	if err := os.WriteFile(path, []byte(strings.Replace(text.String(), "bench faster end", "", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openPage(path); err == nil || !strings.Contains(err.Error(), "<!-- bench faster end -->") {
		t.Errorf("a page without the end of a section: %v", err)
	}
}

func TestDocumentationHasAPlaceForEachSectionAndShowsEachChart(t *testing.T) {
	t.Parallel()
	pg, err := openPage("../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range pictures(charted()) {
		if !strings.Contains(pg.text, "]("+c.file+")") {
			t.Errorf("the page does not show %s", c.file)
		}
	}
}

func TestTablesAreWrittenAsTheyWere(t *testing.T) {
	t.Parallel()
	p, r := charted()
	p.missing = []string{"tonic is left out: why"}
	var b bytes.Buffer
	for _, s := range sections {
		if s.name != "conditions" { // the date, and the machine
			b.WriteString("# " + s.name + "\n\n")
			s.write(&b, p, r)
		}
	}
	golden(t, "sections.md", b.Bytes())
}
