// Package phi is the phi accrual failure detector of Hayashibara, Défago, Yared
// and Katayama ("The φ accrual failure detector", SRDS 2004) for those who
// route: pure arithmetic, without network, clock or goroutine. Time comes in as
// an argument, so that a simulation drives the code that production runs.
//
// A peer sends heartbeats at a known interval. The intervals between their
// arrivals are taken as normally distributed; with mean and deviation over a
// sliding window,
//
//	phi(t) = -log10 Q((t - last - mean - pause) / max(deviation, MinStdDev))
//
// is the suspicion level at instant t: how surprising the present silence is. A
// level of 8 says that by chance one heartbeat in 10⁸ would be later. Because
// the level only grows with silence, it need not be computed again and again:
// the instant at which it will reach the threshold,
//
//	deadline = last + mean + pause + z(threshold)·max(deviation, MinStdDev),
//
// is computed once per heartbeat, and watching a peer is comparing that instant
// with the clock.
//
// [Detector] is the arithmetic, [Monitor] adds the two levels (late and
// suspect), recovery with slow start, and hold-down of peers that flap; [Stall]
// is the rule for the watcher's own stalls. That suspicion never takes out more
// than half of the peers is a matter of choosing among them: see package
// internal/load.
package phi
