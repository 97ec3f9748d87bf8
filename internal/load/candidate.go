package load

// A Candidate is a balancer's record of one worker: what is known of its load, of
// its answers, and of whether it lives.
type Candidate struct {
	LoadEstimate
	Health  Health
	Latency Latency

	// Name is unique; ID is its [balance.ID].
	Name string
	ID   uint64
	// Balancer is the id under which the worker knows the balancer. Add sets it to the
	// pool's if it is 0. One of its own for each record lets two records of one
	// address, as of two lives, have secrets of their own.
	Balancer uint64
	// Phase is whether it can be reached at all; the owner sets it.
	Phase Phase
	// Weight is the share of its capacity it counts with while it comes back,
	// from 0 to 1; 0 is 1.
	Weight float64
	// Penalty is added to its utilisation, as for another zone.
	Penalty float64
	// Owner is the registry's.
	Owner any

	secret *Secret
	tag    [TagSize]byte // of the balancer's own calls
}

// Secret returns what the balancer shares with the worker from when it is added.
func (w *Candidate) Secret() *Secret { return w.secret }

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
