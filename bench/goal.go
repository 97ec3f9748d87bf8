package main

import "fmt"

// A goal is a number that rpcnet is to reach.
type goal struct {
	cell    cell
	ours    *library
	what    string // of the cell
	of      metric
	against *library // what the limit is a multiple of; nil: the limit is absolute
	limit   float64
	atLeast bool   // otherwise at most
	unit    string // of an absolute limit
}

var goals = []goal{
	{cell: unaryCell(32, 1), ours: rpcnetRaw, what: "p50", of: p50, against: grpcGo, limit: 0.45},
	{cell: unaryCell(32, 1), ours: rpcnetRaw, what: "p50", of: p50, against: rawTLS, limit: 2},
	{cell: unaryCell(32, 64), ours: rpcnetRaw, what: "calls/s", of: rate, against: grpcGo, limit: 8, atLeast: true},
	{cell: unaryCell(32, 64), ours: rpcnetGenerated, what: "calls/s", of: rate, against: grpcGo, limit: 6, atLeast: true},
	{cell: unaryCell(1<<10, 64), ours: rpcnetRaw, what: "calls/s", of: rate, against: grpcGo, limit: 6, atLeast: true},
	{cell: unaryCell(32, 64), ours: rpcnetRaw, what: "p99", of: p99, against: grpcGo, limit: 0.35},
	{cell: unaryCell(32, 64), ours: rpcnetRaw, what: "CPU per call", of: cpu, against: grpcGo, limit: 1.0 / 6},
	{cell: oneStream, ours: rpcnetRaw, what: "messages/s", of: rate, against: grpcGo, limit: 5, atLeast: true},
	{cell: hundredStreams, ours: rpcnetRaw, what: "messages/s", of: rate, against: grpcGo, limit: 8, atLeast: true},
	{cell: mebibyteEcho, ours: rpcnetRaw, what: "calls/s", of: rate, against: grpcGo, limit: 1.5, atLeast: true},
	{cell: unaryCell(32, 64), ours: rpcnetRaw, what: "allocations per call", of: allocs, limit: 2},
	{cell: sessionMemory, ours: rpcnetRaw, what: "both sides", of: memory, limit: 70, unit: "KiB"},
	{cell: streamMemory, ours: rpcnetRaw, what: "both sides", of: memory, limit: 5, unit: "KiB"},
}

// limitText says what is to be reached.
func (g goal) limitText() string {
	sign := "<="
	if g.atLeast {
		sign = ">="
	}
	switch {
	case g.against != nil:
		return fmt.Sprintf("%s %.3g x %s", sign, g.limit, g.against.name)
	case g.unit != "":
		return fmt.Sprintf("%s %.3g %s", sign, g.limit, g.unit)
	}
	return fmt.Sprintf("%s %.3g", sign, g.limit)
}

// reached returns what was measured and whether it is enough; ok is false if
// it was not measured.
func (g goal) reached(r results) (text string, enough, ok bool) {
	s, ok := r.get(g.cell, g.ours)
	if !ok {
		return "", false, false
	}
	v := g.of(s)
	text = number(v)
	if g.unit != "" {
		text += " " + g.unit
	}
	if g.against != nil {
		base, ok := r.get(g.cell, g.against)
		if !ok || g.of(base) == 0 {
			return "", false, false
		}
		v /= g.of(base)
		text = fmt.Sprintf("%.3g x", v)
	}
	if g.atLeast {
		return text, v >= g.limit, true
	}
	return text, v <= g.limit, true
}
