package main

// mediumSizes are those of messages that are larger than a few packets and smaller
// than what a session sends in parts.
var mediumSizes = []int{4 << 10, 8 << 10, 16 << 10, 32 << 10}

// goals are all there are. Each is judged by the medians of the same run.
var goals = concat(smallGoals(), mediumGoals(), oneCallerGoals(), streamGoals(), bridgeGoals(), routedGoals(), pickGoals(), memoryGoals())

func concat(lists ...[]goal) (all []goal) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// peers returns the libraries of others.
func peers() []*library {
	var others []*library
	for _, l := range libraries {
		if l.isPeer() {
			others = append(others, l)
		}
	}
	return others
}

// bySize returns a goal for the cells of unary calls of some sizes.
func bySize(sizes []int, callers int, g goal) goal {
	g.cells = unaryCells(sizes, []int{callers})
	return g
}

func smallGoals() []goal {
	one, many, kibibyte := []cell{unaryCell(32, 1)}, []cell{unaryCell(32, 64)}, []cell{unaryCell(1<<10, 64)}
	grpc := []*library{grpcGo}
	return []goal{
		{cells: one, ours: rpcnetRaw, what: "p50", of: p50, against: grpc, limit: 0.45},
		{cells: many, ours: rpcnetRaw, what: "calls/s", of: rate, against: grpc, limit: 8, atLeast: true},
		{cells: many, ours: rpcnetGenerated, what: "calls/s", of: rate, against: grpc, limit: 6, atLeast: true},
		{cells: kibibyte, ours: rpcnetRaw, what: "calls/s", of: rate, against: grpc, limit: 6, atLeast: true},
		{cells: many, ours: rpcnetRaw, what: "p99", of: p99, against: grpc, limit: 0.35},
		{cells: many, ours: rpcnetRaw, what: "CPU per call", of: cpu, against: grpc, limit: 1.0 / 6},
		{cells: many, ours: rpcnetRaw, what: "allocations per call", of: allocs, limit: 2},
		// Callers that share no connection share no packet. What a packet costs is what
		// raw TLS costs, and no library can be twice as fast as that.
		{cells: []cell{manyConnections}, ours: rpcnetRaw, what: "calls/s", of: rate, against: []*library{rawTLS}, limit: 0.9, atLeast: true},
		{cells: []cell{manyConnections}, ours: rpcnetRaw, what: "calls/s", of: rate, against: peers(), limit: 1, atLeast: true},
	}
}

func mediumGoals() []goal {
	const name = "unary 4, 8, 16, 32 KiB, 64 callers"
	var all []goal
	for _, l := range []*library{rpcnetRaw, rpcnetGenerated} {
		all = append(all,
			bySize(mediumSizes, 64, goal{name: name, ours: l, what: "calls/s", of: rate, against: []*library{grpcGo}, limit: 3, atLeast: true}),
			bySize(mediumSizes, 64, goal{name: name, ours: l, what: "calls/s", of: rate, against: []*library{natsGo, tonicRust}, limit: 1.3, atLeast: true}))
	}
	echo := []cell{mebibyteEcho}
	return append(all,
		goal{cells: echo, ours: rpcnetRaw, what: "calls/s", of: rate, against: []*library{grpcGo}, limit: 1.5, atLeast: true},
		goal{cells: echo, ours: rpcnetGenerated, what: "calls/s", of: rate, against: []*library{tonicRust}, limit: 1.1, atLeast: true})
}

// oneCallerGoals are judged on any cores, as a program has them, and on one, where
// the floor is the same in each run.
func oneCallerGoals() []goal {
	const name = "unary 32 B to 64 KiB, 1 caller"
	var all []goal
	for _, l := range []*library{rpcnetRaw, rpcnetGenerated} {
		all = append(all,
			bySize(oneCallerSizes, 1, goal{name: name, ours: l, what: "p50", of: p50, against: peers(), limit: 1}),
			goal{cells: oneCoreCells(), name: name + ", one core", ours: l, what: "p50", of: p50, against: peers(), limit: 1})
	}
	return append(all,
		goal{cells: oneCoreCells(), name: name + ", one core", ours: rpcnetRaw, what: "p50", of: p50, against: []*library{rawTLS}, limit: 1.6})
}

func streamGoals() []goal {
	const name = "server streaming 32 B, 1 and 100 streams"
	both := []cell{oneStream, hundredStreams}
	grpc := []*library{grpcGo}
	return []goal{
		{cells: []cell{oneStream}, ours: rpcnetRaw, what: "messages/s", of: rate, against: grpc, limit: 5, atLeast: true},
		{cells: []cell{hundredStreams}, ours: rpcnetRaw, what: "messages/s", of: rate, against: grpc, limit: 8, atLeast: true},
		{cells: both, name: name, ours: rpcnetGenerated, what: "messages/s", of: rate, against: []*library{tonicRust}, limit: 1.1, atLeast: true},
		{cells: both, name: name, ours: rpcnetGenerated, what: "messages/s", of: rate, against: grpc, limit: 6, atLeast: true},
		// 0.05 is for what the calls themselves allocate.
		{cells: both, name: name, ours: rpcnetGenerated, what: "allocations per message", of: allocs, limit: 1.05},
		{cells: both, name: name, ours: rpcnetInto, what: "allocations per message", of: allocs, limit: 0.05},
		{cells: []cell{manyStreams}, ours: rpcnetRaw, what: "messages/s", of: rate, limit: 3e6, atLeast: true},
	}
}

// besideRoom is how far two libraries of the same code can be apart, as a part of what
// they do: the medians of a run are not closer than that.
const besideRoom = 0.05

func bridgeGoals() []goal {
	one, many := []cell{jsonOne}, []cell{jsonMany}
	connect, raw := []*library{connectJSON}, []*library{rpcnetRaw}
	return []goal{
		{cells: many, ours: rpcnetBridge, what: "calls/s", of: rate, against: connect, limit: 1.5, atLeast: true},
		{cells: one, ours: rpcnetBridge, what: "p50", of: p50, against: connect, limit: 0.8},
		{cells: []cell{jsonStreams}, ours: rpcnetBridge, what: "messages/s", of: rate, against: connect, limit: 1, atLeast: true},
		{cells: []cell{besideMany}, ours: rpcnetBeside, what: "calls/s", of: rate, against: raw, limit: 1 - besideRoom, atLeast: true},
		{cells: []cell{besideOne}, ours: rpcnetBeside, what: "p50", of: p50, against: raw, limit: 1 + besideRoom},
	}
}

func routedGoals() []goal {
	var all []goal
	for _, g := range []struct {
		ours, direct *library
		least        float64 // of the rate of direct connections
	}{
		{routedOne, directOne, 0.7},
		{routedTen, directTen, 0.6},
		{routedHundred, directHundred, 0.5},
	} {
		cells, direct := routedCells(g.ours.workers), []*library{g.direct}
		one, many := cells[:1], cells[1:]
		all = append(all,
			goal{cells: many, ours: g.ours, what: "calls/s", of: rate, against: direct, limit: g.least, atLeast: true},
			goal{cells: many, ours: g.ours, what: "allocations per call", of: allocs, limit: 10},
			goal{cells: one, ours: g.ours, what: "p50", of: p50, against: direct, limit: 1.3})
	}
	return append(all,
		goal{cells: routedCells(10)[1:], ours: directedTen, what: "calls/s", of: rate, against: []*library{routedTen}, limit: 0.6, atLeast: true})
}

// mostOfPick is how much a pick among the most workers may cost of one among the
// fewest. It is below what a search in order of the logarithm would cost, and leaves
// room for a table that the processor's caches do not hold.
const mostOfPick = 3

func pickGoals() []goal {
	var all []goal
	cells := pickCells()
	for _, l := range libraries {
		if l.strategy {
			all = append(all,
				goal{cells: cells, name: "a pick among 10 to 10000 workers", ours: l, what: "time", of: p50, limit: 1, unit: "us"},
				goal{cells: cells[len(cells)-1:], ours: l, what: "time", of: p50, to: cells[0], limit: mostOfPick})
		}
	}
	return all
}

func memoryGoals() []goal {
	return []goal{
		{cells: []cell{sessionMemory}, ours: rpcnetRaw, what: "both sides", of: memory, limit: 70, unit: "KiB"},
		{cells: []cell{streamMemory}, ours: rpcnetRaw, what: "both sides", of: memory, limit: 5, unit: "KiB"},
	}
}
