package load

import "time"

// A Candidate is a balancer's record of one worker: what is known of its load, of
// its answers, and of whether it lives. What decides whether it can be chosen changes
// through the methods of its [Pool] alone, which keeps account of it.
type Candidate struct {
	// What a pick reads of each candidate that it looks at comes first, so that it is in
	// few cache lines: among ten thousand workers these are what a pick waits for.
	LoadEstimate
	Latency Latency
	// ID is the [balance.ID] of Name.
	ID uint64
	// Weight is the share of its capacity it counts with while it comes back,
	// from 0 to 1; 0 is 1.
	Weight float64
	// Penalty is added to its utilisation, as for another zone.
	Penalty float64
	places  []int32  // position in each group by the group's number from 1, 0 if it is no member
	near    [6]int32 // memory of places while the groups are few

	// Name is unique.
	Name string
	// Balancer is the id under which the worker knows the balancer. Add sets it to the
	// pool's if it is 0. One of its own for each record lets two records of one
	// address, as of two lives, have secrets of their own.
	Balancer uint64
	// Owner is the registry's.
	Owner any

	secret *Secret
	tag    [TagSize]byte // of the balancer's own calls

	phase  Phase
	health Health

	// What its pool has on account of it.
	pool   *Pool         // that it is in; nil after Remove
	status Status        // as of the last look, for a caller that excludes none
	due    time.Duration // when time alone can change the status; see timetable
	listed int           // position in the timetable from 1, 0 if it is not in it
	share  share         // what it adds to the totals
}

// Secret returns what the balancer shares with the worker from when it is added.
func (w *Candidate) Secret() *Secret { return w.secret }

// Phase returns what its heartbeats say of it.
func (w *Candidate) Phase() Phase { return w.phase }

// Ejected returns until when the worker is ejected; ok is false if it is not.
func (w *Candidate) Ejected(now time.Duration) (until time.Duration, ok bool) {
	return w.health.Ejected(now)
}

// A Phase is what its heartbeats say of a worker.
type Phase uint8

// The phases, from best to worst.
const (
	PhaseAlive     Phase = iota
	PhaseLate            // not picked while others exist
	PhaseSuspected       // out of the pool, unless that would leave less than half
	PhaseGone            // cannot be reached, or says that it leaves
)

// String returns the phase's name.
func (p Phase) String() string {
	return [...]string{"alive", "late", "suspected", "gone"}[min(p, PhaseGone)]
}
