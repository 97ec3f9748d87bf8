package load

import (
	"maps"
	"time"
)

// MaxPending is how many tickets of one caller count as pending at a time. Further
// tickets hold, but do not count before their call arrives. So a caller that asks for
// workers and does not call them costs no more memory, and makes them look no fuller,
// than that.
const MaxPending = 1024

// Issue makes a ticket for a call to w by the caller with the given identity. The next
// pick counts it as a call on w, until w says that it has arrived or [ClaimWithin] has
// passed.
func (p *Pool) Issue(now time.Duration, w *Candidate, waitInQueue bool, caller string) Ticket {
	t := p.Count(now, w, waitInQueue, caller)
	t.Tag = w.secret.Sign(t.Number, caller)
	return t
}

// Count is Issue without the tag, which the owner of the pool can make without its lock:
// by [Candidate.Secret].
func (p *Pool) Count(now time.Duration, w *Candidate, waitInQueue bool, caller string) Ticket {
	p.tickets++
	if of := p.account(caller); of.pending < MaxPending {
		w.LoadEstimate.issue(now, p.tickets, of)
	}
	return Ticket{Balancer: w.Balancer, Number: p.tickets, WaitInQueue: waitInQueue}
}

// Leasable returns how many tickets a caller can be given for calls that it will make
// soon, of workers that are the given share of all.
//
// A caller has at most as many pending tickets as there are free places after those of
// all callers. So each of k callers that want more gets 1/(k+1) of the places that the
// calls under way leave, and as many stay free: the dynamic threshold with alpha = 1 of
// Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet
// Switches" (1998). If no worker declares a capacity, MaxPending alone is the bound.
func (p *Pool) Leasable(caller string, share float64) int {
	held := 0
	if of := p.accounts[caller]; of != nil {
		held = of.pending
	}
	n := MaxPending - held
	if p.capacities.count > 0 {
		free := share * (p.totals.capacity - p.totals.others - float64(p.pending))
		n = min(n, int(free-float64(held))/2) // each makes held grow and free shrink
	}
	return max(n, 0)
}

// Spend takes tickets of w back by their numbers, from the caller that they were made
// for. Those of other callers stay. balancer is that of the tickets: those that another
// balancer has made, as one that was here before a restart, are ignored.
func (p *Pool) Spend(w *Candidate, balancer uint64, numbers []uint64, caller string) {
	of := p.accounts[caller]
	if of == nil || w.Balancer != balancer {
		return
	}
	for _, n := range numbers {
		if i := w.find(n); i != nil && i.of == of {
			w.drop(i)
		}
	}
}

// Own makes a ticket for a call to w by the balancer itself. It has no number: the
// balancer counts its own calls from the choice to their end, so that nothing has to be
// claimed.
func (p *Pool) Own(w *Candidate, waitInQueue bool) Ticket {
	return Ticket{Balancer: w.Balancer, WaitInQueue: waitInQueue, Tag: w.tag}
}

// Return takes a ticket for w back from the caller it was made for. It ignores a
// ticket that was made for another caller.
func (p *Pool) Return(w *Candidate, t Ticket, caller string) {
	if t.Balancer == w.Balancer && w.secret.Verify(&t, caller) {
		w.LoadEstimate.Drop(t.Number)
	}
}

// minSweep is the least number of accounts at which those without pending tickets
// are removed. Doubling it with what is left makes that cost O(1) per ticket.
const minSweep = 256

// account returns the account of a caller, which it makes if there is none.
func (p *Pool) account(caller string) *account {
	of := p.accounts[caller]
	if of == nil {
		if len(p.accounts) >= p.sweepAt {
			maps.DeleteFunc(p.accounts, func(_ string, of *account) bool { return of.pending == 0 })
			p.sweepAt = max(minSweep, 2*len(p.accounts))
		}
		of = &account{all: &p.pending}
		p.accounts[caller] = of
	}
	return of
}
