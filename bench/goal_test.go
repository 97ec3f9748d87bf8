package main

import (
	"slices"
	"testing"
)

func TestGoalComparesWithWhatItNames(t *testing.T) {
	t.Parallel()
	c, other := unaryCell(32, 64), unaryCell(4<<10, 64)
	r := results{
		c:     {rpcnetRaw: {Rate: 80, P99: 36, Allocs: 2}, grpcGo: {Rate: 10, P99: 100}, natsGo: {Rate: 40, P99: 90}},
		other: {rpcnetRaw: {Rate: 60}, grpcGo: {Rate: 20}, natsGo: {Rate: 15}},
	}
	one, two := []cell{c}, []cell{c, other}
	grpc, both := []*library{grpcGo}, []*library{natsGo, grpcGo, tonicRust}
	for _, test := range []struct {
		goal                 goal
		limit, text, verdict string
	}{
		{goal{cells: one, of: rate, against: grpc, limit: 8, atLeast: true}, ">= 8 x grpc-go", "8.00 x", "reached"},
		{goal{cells: one, of: rate, against: grpc, limit: 8.1, atLeast: true}, ">= 8.1 x grpc-go", "8.00 x", "**missed**"},
		{goal{cells: one, of: p99, against: grpc, limit: 0.35}, "<= 0.35 x grpc-go", "0.360 x", "**missed**"},
		{goal{cells: one, of: p99, against: both, limit: 0.4}, "<= 0.4 x the best of nats, grpc-go, tonic", "0.400 x", "reached"},
		{goal{cells: one, of: p99, against: both, limit: 0.3}, "<= 0.3 x the best of nats, grpc-go, tonic", "0.400 x", "**missed** (nats)"},
		{goal{cells: one, of: allocs, limit: 2}, "<= 2", "2.00", "reached"},
		{goal{cells: one, of: allocs, limit: 1, unit: "KiB"}, "<= 1 KiB", "2.00 KiB", "**missed**"},
		{goal{cells: two, of: rate, against: both, limit: 3, atLeast: true}, ">= 3 x the best of nats, grpc-go, tonic", "2.00, 3.00 x", "**missed** 32 B (nats)"},
		{goal{cells: two, of: rate, against: grpc, limit: 3, atLeast: true}, ">= 3 x grpc-go", "8.00, 3.00 x", "reached"},
		{goal{cells: two, of: rate, against: grpc, limit: 9, atLeast: true}, ">= 9 x grpc-go", "8.00, 3.00 x", "**missed** 32 B, 4 KiB"},
		{goal{cells: two, of: rate, against: peers(), limit: 1, atLeast: true}, ">= 1 x the best peer", "2.00, 3.00 x", "reached"},
		{goal{cells: []cell{other}, of: rate, to: c, limit: 0.5, atLeast: true}, ">= 0.5 x unary 32 B, 64 callers", "0.750 x", "reached"},
	} {
		test.goal.ours = rpcnetRaw
		out, ok := test.goal.reached(r)
		if got := test.goal.limitText(); got != test.limit {
			t.Errorf("to reach: %q, want %q", got, test.limit)
		}
		if got := test.goal.verdict(out); out.text != test.text || got != test.verdict || !ok {
			t.Errorf("%s: got %q, %q, %v; want %q, %q", test.limit, out.text, got, ok, test.text, test.verdict)
		}
	}
	for _, g := range []goal{
		{cells: one, ours: rpcnetRaw, of: rate, against: []*library{rawTLS}},
		{cells: one, ours: rpcnetRaw, of: rate, to: unaryCell(1, 1)},
		{cells: []cell{unaryCell(1, 1)}, ours: rpcnetRaw, of: rate},
	} {
		if out, ok := g.reached(r); ok {
			t.Errorf("%s: a goal against what was not measured says %q", g.limitText(), out.text)
		}
	}
}

// A goal of a cell that no run measures would never be judged.
func TestEveryGoalIsOfWhatIsMeasured(t *testing.T) {
	t.Parallel()
	cells := fullCells()
	for _, g := range goals {
		for _, c := range g.cells {
			if !slices.Contains(cells, c) || !g.ours.measures(c) {
				t.Errorf("%s: %s is not measured for %s", g.title(), c.name(), g.ours.name)
			}
			measured := len(g.against) == 0
			for _, l := range g.against {
				measured = measured || slices.Contains(libraries, l) && l.measures(c)
			}
			if !measured {
				t.Errorf("%s, %s: none of what it is compared with is measured", g.title(), g.limitText())
			}
		}
		if g.to.kind != "" && !(slices.Contains(cells, g.to) && g.ours.measures(g.to)) {
			t.Errorf("%s: %s is not measured for %s", g.title(), g.to.name(), g.ours.name)
		}
	}
}
