package members

import (
	"slices"
	"time"
)

// What to make of two members at one address, or with one name. Gossip is hearsay: a
// newer boot that is said to be at an address does not make the older one dead. The
// node that answers there does, and is asked.

const (
	// maxConflicts is with how many others of its name a newcomer is compared.
	// maxComparing bounds the comparisons without an answer: a liar can invent members
	// of any name.
	maxConflicts = 4
	maxComparing = 4096
	// maxQuestions bounds the addresses that are asked or wait. More are dropped: a
	// doubtful member is asked for again when it answers a probe.
	maxQuestions = 4096
	// askInterval is the least time between two questions to one address, unless the
	// first has found a member that was not shown.
	askInterval = time.Second
	// maxTries is how often an address that does not answer is asked again for one
	// reason.
	maxTries = 3
)

// doubtful reports whether a listed member must answer at its address before it is
// shown. It must if another member holds the address or answered there last, if it was
// evicted, or if names are bound to certificates and its own has not been seen.
func (t *Table) doubtful(r *record, proved bool) bool {
	if t.isSelf(r) {
		return false
	}
	return r.replaced || t.cfg.NamesBound && !proved || t.evicted[r.ID()] || t.held(r, r.Addr)
}

// held reports whether an address is this node's or that of a present member other
// than r.
func (t *Table) held(r *record, addr string) bool {
	if addr == t.cfg.Addr {
		return true
	}
	for _, o := range t.records {
		if o != r && o.Addr == addr && o.State.Present() {
			return true
		}
	}
	return false
}

// supersede fails the other members at an address where r has answered: one process
// answers at one address. A member that wished to leave has left. This node itself is
// never superseded, since it knows that it runs.
func (t *Table) supersede(r *record, addr string, now time.Time) {
	for _, o := range t.find(func(o *record) bool {
		return o != r && o.Addr == addr && o.State.Present() && !t.isSelf(o)
	}) {
		if o.leaving || o.leftConfirmed {
			o.failed, o.replaced = true, true
			t.change(o, StateLeft, now, Event{Kind: KindNodeLeft})
			continue
		}
		t.markFailed(o, CauseReplaced, now)
	}
}

// vacate asks who answers at the address of a member that is gone, if others claim
// it.
func (t *Table) vacate(r *record) {
	for _, o := range t.records {
		if o != r && o.Addr == r.Addr && o.listed && !o.State.Present() && !o.final() {
			t.ask(r.Addr)
			return
		}
	}
}

// settle concludes from the answer of a member at an address that no other is there, and
// shows this one. It ignores a member that gossip does not place there: the answer to a
// stale question proves nothing about where the member is now. It reports whether the
// member was not present before.
func (t *Table) settle(addr, id string, now time.Time) bool {
	r := t.records[id]
	if r == nil || !r.listed || r.final() || t.evicted[id] || addr == t.cfg.Addr {
		return false
	}
	switch addr {
	case r.Addr:
		t.supersede(r, addr, now)
	case r.claim.addr:
		t.supersede(r, addr, now)
		was := r.Member
		if t.place(r, addr, r.claim.serverName); r.State.Present() {
			t.changeFrom(was, r, r.State, now, Event{Kind: KindNodeUpdated})
		}
	default:
		return false
	}
	switch {
	case r.State.Present():
		return false
	case r.unannounced:
		t.announce(r, now)
	default:
		t.revive(r, now)
	}
	return true
}

// compare looks for other present members with the name of r at other addresses and
// asks both addresses who answers: if both live, that is a conflict.
func (t *Table) compare(r *record) {
	others := t.find(func(o *record) bool {
		return o != r && o.Name == r.Name && o.Addr != r.Addr && o.State.Present()
	})
	for _, o := range others[:min(len(others), maxConflicts)] {
		if t.comparing >= maxComparing {
			return
		}
		older, newer := o.Member, r.Member
		if older.Boot > newer.Boot {
			older, newer = newer, older
		}
		t.comparing++
		t.do(Compare{older, newer})
	}
}

// Both were asked a moment ago. That one of them has left meanwhile changes nothing of
// what was found.
func (in Compared) apply(t *Table, now time.Time) {
	if t.comparing > 0 {
		t.comparing--
	}
	if in.Both {
		t.emit(Event{Kind: KindNameConflict, Member: in.Newer, Was: in.Older}, now)
	}
}

// A question is who answers at an address. There is one for each address, however many
// members claim it, so that a liar who invents members at an address makes this node
// dial it once per askInterval.
type question struct {
	pending bool      // waits or is being asked
	again   bool      // there is a reason to know since it was last asked
	tries   int       // without an answer
	ended   time.Time // when it was last asked
}

// ask asks who answers at an address: at once, or when askInterval has passed since
// it was last asked in vain.
func (t *Table) ask(addr string) {
	q := t.questions[addr]
	switch {
	case q != nil:
		q.again = true
	case addr != t.cfg.Addr && len(t.questions) < maxQuestions:
		t.questions[addr] = &question{pending: true}
		t.do(Identify{addr})
	}
}

// The reasons to ask that came while the question waited its turn are answered with it.
func (in Identifying) apply(t *Table, _ time.Time) {
	if q := t.questions[in.Addr]; q != nil {
		q.again = false
	}
}

// An address that does not answer is asked up to maxTries times, since a node that is
// just starting is heard of before it listens.
func (in Identified) apply(t *Table, now time.Time) {
	q := t.questions[in.Addr]
	if q == nil || !q.pending {
		return
	}
	q.pending, q.ended = false, now
	if in.ID == "" {
		q.tries++
		q.again = q.again || q.tries < maxTries
		return
	}
	// settle may fail members at this address, whose end is a reason to ask who follows
	// them there: the answer is the one just given, so that this reason does not count.
	again := q.again
	if t.settle(in.Addr, in.ID, now) && !again {
		delete(t.questions, in.Addr) // the next to claim the address need not wait
	}
	q.again = again
}

// askAgain asks what is due, and forgets the questions that have no reason any more.
func (t *Table) askAgain(now time.Time) {
	var due []string
	for addr, q := range t.questions {
		// An answer is on its way, or the last is too fresh; there is a reason to ask
		// again; or there is none, and the next claim is asked at once.
		switch {
		case q.pending || now.Sub(q.ended) < askInterval:
		case q.again:
			due = append(due, addr)
		default:
			delete(t.questions, addr)
		}
	}
	slices.Sort(due)
	for _, addr := range due {
		t.questions[addr].pending = true
		t.do(Identify{addr})
	}
}

// Another node that answers where one was looked for has replaced it. A refusal alone
// fails no present member: its process is perhaps starting. It counts against one that is
// gone already, as a sign of a crash rather than of a partition.
func (in Dialed) apply(t *Table, now time.Time) {
	for _, r := range t.find(func(r *record) bool { return r.Addr == in.Addr && !t.isSelf(r) }) {
		switch {
		case in.Got != "" && r.ID() == in.Want && r.State.Present():
			t.markFailed(r, CauseReplaced, now)
		case in.Got != "" && r.ID() == in.Want:
			r.replaced = true
		case in.Refused && !r.State.Present():
			r.refused = true
		}
	}
	if in.Got != "" {
		t.settle(in.Addr, in.Got, now)
	}
}
