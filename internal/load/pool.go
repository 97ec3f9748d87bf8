package load

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A Worker is a balancer's record of one worker: what is known of its load, of
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

// A Pool is all that one balancer knows of the workers. Groups are the parts of
// it that selectors choose.
type Pool struct {
	workers  []*Candidate // sorted by ID
	rand     *rand.Rand
	median   float64 // capacity of workers that declare none
	most     float64 // what a declared capacity counts at most
	declared int     // how many workers declare one
	stale    bool    // median and mean must be computed again
	others   float64 // calls of others on workers that report
	total    float64 // capacity of those
	tickets  uint64
	id       uint64

	accounts map[string]*account // by caller; some have nothing pending
	sweepAt  int                 // how many there may be before those are thrown away
}

// MaxPending is how many tickets of one caller count as pending at a time. More
// are good, but do not count before their call arrives: a caller that asks for
// workers and does not call them costs no more memory, and makes them look no
// fuller, than that.
const MaxPending = 1024

// MaxCapacityRatio is how many times the median of all declared capacities one of
// them counts at most: eight, as a machine with eight of what the others have one
// of. So no worker takes all calls by declaring that it can. Of two workers the
// lower capacity is the median; one that is alone is compared with nobody.
const MaxCapacityRatio = 8

// NewPool returns an empty pool of the balancer with the given id.
func NewPool(id uint64, r *rand.Rand) *Pool {
	return &Pool{id: id, rand: r, median: 1, accounts: map[string]*account{}, sweepAt: minSweep}
}

// Len returns how many workers the pool has.
func (p *Pool) Len() int { return len(p.workers) }

// Workers returns all workers, sorted by ID. The caller must not change the
// slice.
func (p *Pool) Workers() []*Candidate { return p.workers }

// Named returns the worker of that name, nil if there is none.
func (p *Pool) Named(name string) *Candidate {
	i, found := slices.BinarySearchFunc(p.workers, balance.ID(name), compareID)
	if !found || p.workers[i].Name != name {
		return nil
	}
	return p.workers[i]
}

// Add adds a worker under its name.
func (p *Pool) Add(w *Candidate) {
	w.ID = balance.ID(w.Name)
	w.Balancer = cmp.Or(w.Balancer, p.id)
	w.secret = NewSecret()
	w.tag = w.secret.Sign(0, "")
	i, _ := slices.BinarySearchFunc(p.workers, w.ID, compareID)
	p.workers = slices.Insert(p.workers, i, w)
	p.stale = true
}

// Remove removes w.
func (p *Pool) Remove(w *Candidate) {
	p.workers = slices.DeleteFunc(p.workers, func(o *Candidate) bool { return o == w })
	w.LoadEstimate.void()
	p.stale = true
}

func compareID(w *Candidate, id uint64) int {
	switch {
	case w.ID < id:
		return -1
	case w.ID > id:
		return 1
	}
	return 0
}

// Apply takes a report of w over and reports whether it was news.
func (p *Pool) Apply(now time.Duration, w *Candidate, r Report) bool {
	before, had, counted := w.LoadEstimate.report, w.LoadEstimate.known, p.counted(w)
	if !w.LoadEstimate.Apply(now, r) {
		return false
	}
	if before.Epoch != r.Epoch {
		w.Health.Reset()
		w.Latency = Latency{}
	}
	if !had || before.Capacity != r.Capacity {
		p.stale = true
		return true
	}
	p.others += p.counted(w) - counted
	return true
}

// ApplyPiggybacked takes over numbers that came with the end of a call on w.
func (p *Pool) ApplyPiggybacked(now time.Duration, w *Candidate, r Report) {
	before := p.counted(w)
	if w.LoadEstimate.ApplyPiggybacked(now, r) {
		p.others += p.counted(w) - before
	}
}

// counted returns what the calls of others on w count in the mean of all
// workers: at most eight times the capacity it counts with, so that one that says
// that it has a billion calls does not change what is thought of the others. Where
// nobody declares a capacity there is nothing to compare with.
func (p *Pool) counted(w *Candidate) float64 {
	if p.declared == 0 {
		return w.others()
	}
	return min(w.others(), max(64, MaxCapacityRatio*p.capacity(w)))
}

// Lost says that w reports no more.
func (p *Pool) Lost(w *Candidate) {
	w.LoadEstimate.Lost()
	p.stale = true
}

func (p *Pool) refresh() {
	if !p.stale {
		return
	}
	p.stale = false
	declared := make([]float64, 0, len(p.workers))
	for _, w := range p.workers {
		if w.known && w.report.Capacity > 0 {
			declared = append(declared, float64(w.report.Capacity))
		}
	}
	p.median = median(declared)
	p.most, p.declared = MaxCapacityRatio*p.median, len(declared)
	p.others, p.total = 0, 0
	for _, w := range p.workers {
		if w.known {
			p.others += p.counted(w)
			p.total += p.capacity(w)
		}
	}
}

// capacity returns the declared capacity, as far as it counts, or the median if
// there is none.
func (p *Pool) capacity(w *Candidate) float64 {
	if c := w.report.Capacity; c > 0 {
		return min(float64(c), p.most)
	}
	return p.median
}

// Estimate returns how many calls w has in flight.
func (p *Pool) Estimate(now time.Duration, w *Candidate) float64 {
	p.refresh()
	u := 0.0
	if p.total > 0 {
		u = max(p.others, 0) / p.total
	}
	return w.LoadEstimate.Estimate(now, u, p.capacity(w), MinReportInterval(len(p.workers)))
}

// Capacity returns the capacity w counts with.
func (p *Pool) Capacity(w *Candidate) float64 {
	p.refresh()
	c := p.capacity(w)
	if w.Weight > 0 {
		c *= w.Weight
	}
	return c
}

// Issue makes a ticket for a call to w by the caller with the given identity.
func (p *Pool) Issue(now time.Duration, w *Candidate, waitInQueue bool, caller string) Ticket {
	p.tickets++
	if of := p.account(caller); of.pending < MaxPending {
		w.LoadEstimate.issue(now, p.tickets, of)
	}
	return Ticket{Balancer: w.Balancer, Number: p.tickets, WaitInQueue: waitInQueue, Tag: w.secret.Sign(p.tickets, caller)}
}

// Own makes a ticket for a call to w by the balancer itself.
func (p *Pool) Own(w *Candidate, waitInQueue bool) Ticket {
	return Ticket{Balancer: w.Balancer, WaitInQueue: waitInQueue, Tag: w.tag}
}

// Return takes a ticket for w back from the caller it was made for, and ignores
// one that was made for somebody else.
func (p *Pool) Return(w *Candidate, t Ticket, caller string) {
	if t.Balancer == w.Balancer && w.secret.Verify(&t, caller) {
		w.LoadEstimate.Drop(t.Number)
	}
}

// minSweep is the least number of accounts to throw any away.
const minSweep = 256

// account returns the account of a caller.
func (p *Pool) account(caller string) *account {
	of := p.accounts[caller]
	if of == nil {
		if len(p.accounts) >= p.sweepAt {
			maps.DeleteFunc(p.accounts, func(_ string, of *account) bool { return of.pending == 0 })
			p.sweepAt = max(minSweep, 2*len(p.accounts))
		}
		of = new(account)
		p.accounts[caller] = of
	}
	return of
}
