//go:build unix

package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
)

func TestOneFleetIsBuiltAtATimeAndNoneBeginsBeforeAllStand(t *testing.T) {
	t.Parallel()
	var building, built atomic.Int32
	r := row{lines: []line{{name: "a"}, {name: "b"}}, run: func(b *berth) ([]outcome, error) {
		b.begin()
		if building.Add(1) > 1 {
			t.Error("two are built at the same time")
		}
		time.Sleep(20 * time.Millisecond)
		building.Add(-1)
		if built.Add(1) == 2 {
			return nil, errors.New("cannot be built") // holds up nobody
		}
		b.ready()
		if n := built.Load(); n != 3 {
			t.Errorf("begins when %d of 3 stand", n)
		}
		return []outcome{{samples: []float64{1}}, {}}, nil
	}}
	rs := measure(r, 3, 3, &progress{quiet: true})
	if len(rs[0].samples) != 2 || rs[0].runs != 3 || len(rs[0].errs) != 1 {
		t.Errorf("%+v", rs[0])
	}
	if len(rs[1].samples) != 0 || rs[1].runs != 1 || rs[1].met() {
		t.Errorf("a line that no run came to: %+v", rs[1])
	}
}

func TestALineStaysInTheDocumentUntilItIsMeasuredAgain(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(file, []byte("before\n"+tableBegin+tableEnd+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	write := func(names []string, rs ...*result) string {
		t.Helper()
		if err := writeTable(file, names, rs, begin); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	of := func(name string, x float64) *result {
		return &result{line: line{name: name, unit: "s", target: "<= 2", worst: 2}, samples: []float64{x}, runs: 1, atATime: 1, when: begin}
	}
	names := []string{"a", "b", "c"}
	failed := of("b", 1)
	failed.runs = 2
	failed.errs = []error{&missedError{"not within 1s at 1 of 2 nodes: n001", []string{"n001 sees | nothing"}}}
	write(names, of("a", 1), failed)
	got := write(names, of("a", 3))
	for _, want := range []string{
		"before\n", "\nafter\n",
		"| a | 3 s **missed** | 1 | 1 | 2026-11-23 10:00 | <= 2 |\n| b | 1 of 2 runs failed: not within 1s at 1 of 2 nodes: n001; the others: 1 s **missed** | 2 | 1 |",
		"- b, failed run 1: n001 sees / nothing\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	got = write([]string{"c", "b"}, of("b", 1), of("c", 1))
	if strings.Contains(got, "| a |") || strings.Contains(got, failedRun) || strings.Index(got, "| c |") > strings.Index(got, "| b |") {
		t.Errorf("the lines c and b, both measured again:\n%s", got)
	}
}

func TestAMissNamesTheNodesAndWhatTheyKnow(t *testing.T) {
	t.Parallel()
	f, err := newFleet(3, cluster.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	_, err = f.everyone(time.Now(), 50*time.Millisecond, func(s *ship, e cluster.Event) bool { return false },
		func(s *ship) string { return "wanted" })
	if want := "not within 50ms at 3 of 3 nodes: n000, n001, n002"; err == nil || err.Error() != want {
		t.Fatalf("got %v, want %v", err, want)
	}
	ds := details(errors.Join(err))
	if len(ds) != 3 || !strings.HasPrefix(ds[1], "n001 (wanted) sees 3 alive") || !strings.Contains(ds[1], "detector calm, 0 expected, 0 lost, not expected yet: n000") {
		t.Errorf("%q", ds)
	}
	if took, err := f.everyone(time.Now().Add(-time.Hour), time.Second, func(s *ship, e cluster.Event) bool { return e.Kind == cluster.KindNodeJoined }, nil); err != nil || len(took) != 3 {
		t.Errorf("%v, %v", took, err)
	}
}

func TestEachLineOfTheTablesHasItsOwnName(t *testing.T) {
	t.Parallel()
	for _, quick := range []bool{true, false} {
		var names []string
		for _, r := range rows(quick) {
			for _, l := range r.lines {
				names = append(names, l.name)
			}
		}
		slices.Sort(names)
		if n := len(slices.Compact(slices.Clone(names))); n != len(names) {
			t.Errorf("two of one name in %q", names)
		}
	}
}
