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
		of = new(account)
		p.accounts[caller] = of
	}
	return of
}
