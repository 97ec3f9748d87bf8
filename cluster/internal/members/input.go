package members

import (
	"time"
)

// An Input is one thing that has happened. All inputs are in this file. Those that name a
// member by its id have no effect if the table does not know it, but for Alive and
// Evicted.
type Input interface {
	apply(t *Table, now time.Time)
}

// Alive reports that gossip holds a member alive that it did not before.
type Alive struct {
	ID, Addr, ServerName string
	Tags                 map[string]string
	Leaving              bool // it says that it will leave
	Proved               bool // its certificate has been seen
}

// Updated reports that gossip has something newer of a member that it holds alive.
// Proved has no meaning.
type Updated Alive

// Dead reports that gossip does not hold a member alive any more. memberlist does not say
// whether it failed or left: the table does.
type Dead struct{ ID string }

// Announced reports what a member says of itself in a packet that only it can seal:
// that it will leave or, with Left, that it has.
type Announced struct {
	ID   string
	Left bool
}

// Answered reports that a member answered a probe.
type Answered struct {
	ID     string
	Proved bool // its certificate has been seen
}

// Evidence reports that a member does not seem to answer those who route.
type Evidence struct {
	ID    string
	Cause string
	Phi   float64
}

// Cleared takes back what [Evidence] or [Unreachable] reported.
type Cleared struct{ ID string }

// Unreachable reports that a member is gone beyond doubt.
type Unreachable struct {
	ID    string
	Cause string
}

// Evicted shuts a member out for good, whether or not it is known.
type Evicted struct{ ID string }

// Dialed reports how a dial ended that tells something: the address refused, or the
// node Got answered where Want was looked for.
type Dialed struct {
	Addr      string
	Refused   bool
	Want, Got string
}

// Identifying reports that the question of an [Identify] is being asked now.
type Identifying struct{ Addr string }

// Identified is the answer to an [Identify]: the member at the address, or "" if none
// answered.
type Identified struct{ Addr, ID string }

// Compared is the answer to a [Compare]: whether both members answered at their
// addresses.
type Compared struct {
	Compare
	Both bool
}

// Verified is the answer to a [Verify], if the member did not refute the verdict
// meanwhile.
type Verified struct {
	ID      string
	Refused bool // its address refuses connections
}

// Probed is the answer of one member to a [ProbeAll].
type Probed struct {
	ID       string
	Answered bool
	Gone     bool // its address refuses, or another node answers there
	Proved   bool // its certificate has been seen
}

// ProbedAll ends a [ProbeAll].
type ProbedAll struct{}

// MinorityDecided is the answer to an [AskMinority].
type MinorityDecided struct {
	Which int // of AskMinority
	GoOn  bool
}

// Tick lets time pass. Give it every [TickInterval].
type Tick struct {
	Health       int      // memberlist's score of this node, 0 (well) to 7
	Failed       []string // the members whose probes failed since the last Tick
	FailedLately int      // how many probes failed in the last seconds
	// Paused means that this node did not run shortly before: probes that failed
	// then prove nothing. Late means that this very tick is late: nothing is judged.
	Paused, Late bool
}
