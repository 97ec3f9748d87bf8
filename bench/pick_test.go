package main

import (
	"testing"
	"time"
)

func TestBenchmarkOutputIsRead(t *testing.T) {
	t.Parallel()
	const out = `goos: linux
BenchmarkPick/LeastConnections/10-2         	  245238	       419.4 ns/op	       0 B/op	       0 allocs/op
BenchmarkPick/LeastConnections/100-2        	   53798	      1137 ns/op	      25 B/op	       3 allocs/op
PASS
`
	s, err := parseBenchmark([]byte(out), "BenchmarkPick/LeastConnections/100")
	if err != nil || s.P50 != 1.137 || s.Allocs != 3 {
		t.Errorf("got %+v, %v; want 1.137 us and 3 allocations", s, err)
	}
	for _, name := range []string{"BenchmarkPick/LeastConnections/1", "BenchmarkPick/Random/10"} {
		if s, err := parseBenchmark([]byte(out), name); err == nil {
			t.Errorf("%s is not there, and yet: %+v", name, s)
		}
	}
}

func TestPicksAreMeasuredForEachStrategy(t *testing.T) {
	t.Parallel()
	program, err := buildPicks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := pickCells()[0]
	for _, l := range strategyLibraries() {
		s, err := measurePick(program, c, l.name, time.Millisecond)
		if err != nil || s.P50 <= 0 || s.P50 > 1e6 {
			t.Errorf("%s: %+v, %v", l.name, s, err)
		}
	}
}
