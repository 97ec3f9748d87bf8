package load_test

import (
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
)

const (
	ms     = time.Millisecond
	second = time.Second
)

// shared is what all balancers of these tests share with their worker, and alice
// who makes the calls.
var shared = load.NewSecret()

const alice = "alice"

var secretLock sync.Mutex // the tests run side by side

func ticketed(balancer, number uint64) load.Call { return ticketedFor(alice, balancer, number) }

func ticketedFor(caller string, balancer, number uint64) load.Call {
	secretLock.Lock()
	defer secretLock.Unlock()
	signed := caller
	if number == 0 {
		signed = ""
	}
	return load.Call{Ticketed: true, Peer: caller,
		Ticket: load.Ticket{Balancer: balancer, Number: number, WaitInQueue: true, Tag: shared.Sign(number, signed)}}
}

// ledger returns an account that the balancers watch, which are alice too.
func ledger(t *testing.T, epoch uint64, limits load.Limits, balancers ...uint64) *load.Ledger {
	t.Helper()
	l := load.NewLedger(epoch, limits)
	watch(t, l, balancers...)
	return l
}

func watch(t *testing.T, l *load.Ledger, balancers ...uint64) {
	t.Helper()
	secret, err := load.SecretOf(shared.Key())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range balancers {
		if !l.Subscribe(c, alice, secret) {
			t.Fatalf("balancer %d may not watch", c)
		}
	}
}

// admit admits c or fails.
func admit(t *testing.T, l *load.Ledger, now time.Duration, c load.Call) *load.Entry {
	t.Helper()
	e, _, why := l.Admit(now, c)
	if why != load.RefusalNone {
		t.Fatalf("refused: %v", why)
	}
	return e
}

func TestLedgerCountsEveryCallUntilItEnds(t *testing.T) {
	t.Parallel()
	l := load.NewLedger(1, load.Limits{})
	var es []*load.Entry
	for range 100 {
		es = append(es, admit(t, l, 0, load.Call{}))
	}
	if l.InFlight() != 100 || l.Queued() != 0 {
		t.Fatalf("in flight %d, queued %d", l.InFlight(), l.Queued())
	}
	for _, e := range es {
		l.Release(0, e)
		l.Release(0, e) // twice does nothing: the count never goes below zero
	}
	if l.InFlight() != 0 {
		t.Fatalf("in flight %d at the end", l.InFlight())
	}
}

func TestLedgerQueuesInOrderAndRefusesWhenTheQueueIsFull(t *testing.T) {
	t.Parallel()
	l := load.NewLedger(1, load.Limits{Capacity: 2, Queue: 3})
	var es []*load.Entry
	for i := range 5 {
		e := admit(t, l, 0, load.Call{Owner: i})
		if e.Waiting() != (i >= 2) {
			t.Errorf("call %d waits: %v", i, e.Waiting())
		}
		es = append(es, e)
	}
	if _, _, why := l.Admit(0, load.Call{}); why != load.RefusalQueueFull {
		t.Errorf("the sixth: %v", why)
	}
	l.Release(0, es[3]) // gives up waiting
	if next := l.Release(0, es[0]); next != es[2] || next.Waiting() {
		t.Errorf("after the first ended %v runs", next)
	}
	if next := l.Release(0, es[1]); next != es[4] {
		t.Errorf("after the second ended %v runs", next)
	}
	if l.InFlight() != 2 || l.Queued() != 0 {
		t.Errorf("in flight %d, queued %d", l.InFlight(), l.Queued())
	}
	if next := l.Release(0, es[2]); next != nil {
		t.Errorf("nobody waits, yet %v runs", next)
	}
}

func TestLedgerWithANegativeQueueNeverLetsWait(t *testing.T) {
	t.Parallel()
	l := load.NewLedger(1, load.Limits{Capacity: 1, Queue: -1})
	admit(t, l, 0, load.Call{})
	if _, _, why := l.Admit(0, load.Call{}); why != load.RefusalQueueFull {
		t.Errorf("got %v", why)
	}
}

func TestLastPlaceTakenByAnotherDirectorIsRefusedOnlyAsASurprise(t *testing.T) {
	t.Parallel()
	l := ledger(t, 1, load.Limits{Capacity: 1}, 1, 2)
	admit(t, l, 0, ticketed(1, 1)) // the first director's
	second := ticketed(2, 1)
	second.Ticket.WaitInQueue = false
	if _, _, why := l.Admit(0, second); why != load.RefusalUnexpectedlyFull {
		t.Errorf("second director, which believed in a free place: %v", why)
	}
	if e := admit(t, l, 0, ticketed(2, 2)); !e.Waiting() {
		t.Error("a call that was told to wait runs")
	}
	// After three tries a call is not bounced any more.
	l = ledger(t, 1, load.Limits{Capacity: 1}, 2)
	admit(t, l, 0, load.Call{})
	tired := second
	tired.Attempt = 3
	if e := admit(t, l, 0, tired); !e.Waiting() {
		t.Error("the fourth try does not wait")
	}
}

func TestCallWhoseDeadlineWouldPassInTheQueueIsRefused(t *testing.T) {
	t.Parallel()
	l := load.NewLedger(1, load.Limits{Capacity: 1, Queue: 10})
	if l.Wait() != 0 {
		t.Errorf("a wait of %v before any call has ended", l.Wait())
	}
	l.Release(2*second, admit(t, l, 0, load.Call{})) // calls take 2 s
	admit(t, l, 0, load.Call{})
	if l.Wait() != 2*second {
		t.Errorf("a wait of %v, want 2 s", l.Wait())
	}
	if _, _, why := l.Admit(0, load.Call{Left: second}); why != load.RefusalTooLate {
		t.Errorf("1 s left: %v", why)
	}
	if _, _, why := l.Admit(0, load.Call{Left: 3 * second}); why != load.RefusalNone {
		t.Errorf("3 s left: %v", why)
	}
}

func TestSameTicketTwiceCountsOnceAndTheNewerAttemptStays(t *testing.T) {
	t.Parallel()
	l := ledger(t, 1, load.Limits{Capacity: 1}, 7)
	c := ticketed(7, 1)
	old := admit(t, l, 0, c)
	c.Attempt = 1
	e, replaced, why := l.Admit(10*ms, c)
	if why != load.RefusalNone || replaced != old || e.Waiting() || l.InFlight() != 1 {
		t.Fatalf("redialled: %v, replaced %v, in flight %d", why, replaced, l.InFlight())
	}
	c.Attempt = 0
	if _, _, why := l.Admit(20*ms, c); why != load.RefusalSuperseded {
		t.Errorf("a late older attempt: %v", why)
	}
	l.Release(20*ms, old) // the handler of the old one returns at last
	if l.InFlight() != 1 {
		t.Errorf("the old one's end took the new one's place: %d in flight", l.InFlight())
	}
	l.Release(30*ms, e)
	if l.InFlight() != 0 {
		t.Errorf("%d in flight", l.InFlight())
	}
}

func TestSameTicketTwiceInTheQueueKeepsItsPlace(t *testing.T) {
	t.Parallel()
	l := ledger(t, 1, load.Limits{Capacity: 1, Queue: 3}, 7)
	running := admit(t, l, 0, load.Call{})
	a := admit(t, l, 0, ticketed(7, 1))
	b := admit(t, l, 0, ticketed(7, 2))
	c := ticketed(7, 1)
	c.Attempt = 1
	again, replaced, _ := l.Admit(0, c)
	if replaced != a || !again.Waiting() || l.Queued() != 2 {
		t.Fatalf("replaced %v, queued %d", replaced, l.Queued())
	}
	if next := l.Release(0, running); next != again {
		t.Error("it lost its place")
	}
	l.Release(0, a)
	if next := l.Release(0, again); next != b {
		t.Error("the one behind it was forgotten")
	}
	l.Release(0, b)
	if l.InFlight() != 0 {
		t.Errorf("%d in flight", l.InFlight())
	}
}

func TestDrainingWorkerRefusesAndFinishes(t *testing.T) {
	t.Parallel()
	l := load.NewLedger(1, load.Limits{Capacity: 4})
	e := admit(t, l, 0, load.Call{})
	v := l.Version()
	l.Drain()
	if l.Version() == v {
		t.Error("a drain is no change worth a report")
	}
	if _, _, why := l.Admit(0, load.Call{}); why != load.RefusalDraining {
		t.Errorf("got %v", why)
	}
	if r := l.Report(1, false); r.State != load.StateDraining || r.InFlight != 1 {
		t.Errorf("report %+v", r)
	}
	l.Release(0, e)
	if l.InFlight() != 0 {
		t.Error("the last call still counts")
	}
}

func TestReportReadsCountsAndClaimsAtOneMoment(t *testing.T) {
	t.Parallel()
	l := ledger(t, 9, load.Limits{Capacity: 8}, 7, 8)
	a := admit(t, l, 0, ticketed(7, 1))
	admit(t, l, 0, ticketed(7, 2))
	admit(t, l, 0, ticketed(8, 1))
	admit(t, l, 0, ticketed(8, 0)) // made by balancer 8 itself
	r := l.Report(7, false)
	if r.Epoch != 9 || r.InFlight != 4 || r.Yours != 0 || r.Balancers != 2 || len(r.Claimed) != 2 {
		t.Errorf("to 7: %+v", r)
	}
	if r := l.Report(8, false); r.InFlight != 4 || r.Yours != 1 || len(r.Claimed) != 1 {
		t.Errorf("to 8: %+v", r)
	}
	if again := l.Report(7, false); len(again.Claimed) != 0 || again.Seq <= r.Seq {
		t.Errorf("claims are told once: %+v", again)
	}
	l.Release(0, a)
	if snap := l.Report(7, true); len(snap.Claimed) != 1 || snap.Claimed[0] != 2 || !snap.Snapshot {
		t.Errorf("a snapshot names the live tickets: %+v", snap)
	}
	l.Unsubscribe(8)
	if r := l.Report(7, false); r.Balancers != 1 {
		t.Errorf("one balancer left: %+v", r)
	}
}

func TestRefusedTicketIsClaimedToo(t *testing.T) {
	t.Parallel()
	l := ledger(t, 1, load.Limits{}, 7)
	l.Drain()
	l.Admit(0, ticketed(7, 5))
	if r := l.Report(7, false); len(r.Claimed) != 1 || r.Claimed[0] != 5 {
		t.Errorf("claimed %v", r.Claimed)
	}
}

func TestReconnectingBalancerStaysWhileOneStreamIsThere(t *testing.T) {
	t.Parallel()
	l := ledger(t, 1, load.Limits{}, 7, 7)
	l.Unsubscribe(7)
	admit(t, l, 0, ticketed(7, 1))
	if r := l.Report(7, false); len(r.Claimed) != 1 {
		t.Errorf("the end of the old stream silenced the new one: %+v", r)
	}
}

func TestReportTellsHowLongCallsRunAndWait(t *testing.T) {
	t.Parallel()
	l := load.NewLedger(1, load.Limits{Capacity: 1})
	a := admit(t, l, 0, load.Call{})
	b := admit(t, l, 0, load.Call{})
	l.Release(100*ms, a)
	l.Release(300*ms, b)
	r := l.Report(1, false)
	if r.MeanService < 104*ms || r.MeanService > 106*ms { // 100, then a twentieth of the way to 200
		t.Errorf("mean service %v", r.MeanService)
	}
	if r.QueueDelay < 4*ms || r.QueueDelay > 6*ms { // 0, then a twentieth of the way to 100
		t.Errorf("queue delay %v", r.QueueDelay)
	}
}

// TestATicketHoldsOnlyForTheCallerItWasMadeFor: a call with another's ticket, or
// one that was made up, is one without a ticket.
func TestATicketHoldsOnlyForTheCallerItWasMadeFor(t *testing.T) {
	t.Parallel()
	l := ledger(t, 1, load.Limits{}, 7)
	mine := ticketed(7, 1)
	victim := admit(t, l, 0, mine)
	l.Report(7, false)
	forged := map[string]func(c *load.Call){
		"another caller":     func(c *load.Call) { c.Peer = "mallory" },
		"another number":     func(c *load.Call) { c.Ticket.Number = 2 },
		"a wrong tag":        func(c *load.Call) { c.Ticket.Tag[15] ^= 1 },
		"no tag":             func(c *load.Call) { c.Ticket.Tag = [load.TagSize]byte{} },
		"unknown balancer":   func(c *load.Call) { c.Ticket.Balancer = 8 },
		"the balancer's own": func(c *load.Call) { *c = ticketed(7, 0); c.Peer = "mallory" },
	}
	for what, forge := range forged {
		c := mine
		c.Attempt = 255
		forge(&c)
		e, replaced, why := l.Admit(0, c)
		if why != load.RefusalNone || replaced != nil {
			t.Errorf("%s: replaced %v, %v", what, replaced, why)
			continue
		}
		if _, ok := e.Ticket(); ok {
			t.Errorf("%s: the ticket holds", what)
		}
		if r := l.Report(7, false); r.Yours != 0 || len(r.Claimed) != 0 {
			t.Errorf("%s: yours %d, claimed %v", what, r.Yours, r.Claimed)
		}
	}
	if n := l.InFlight(); n != 1+len(forged) {
		t.Errorf("%d in flight", n)
	}
	again := mine
	again.Attempt = 1
	if _, replaced, _ := l.Admit(0, again); replaced != victim {
		t.Error("the caller itself may not make its call again")
	}
}

// TestABalancersIDIsItsPeers: nobody else watches under it, also when it has just
// lost its stream; of many that left only the last ones are remembered.
func TestABalancersIDIsItsPeers(t *testing.T) {
	t.Parallel()
	l := ledger(t, 1, load.Limits{}, 7)
	if l.Subscribe(7, "mallory", shared) || l.Subscribe(7, alice, load.NewSecret()) {
		t.Fatal("another watches under the id of the first")
	}
	l.Unsubscribe(7)
	if l.Subscribe(7, "mallory", shared) {
		t.Fatal("another watches under the id of one that has just gone")
	}
	e := admit(t, l, 0, ticketed(7, 1)) // while the stream is broken
	watch(t, l, 7)
	if snap := l.Report(7, true); len(snap.Claimed) != 1 {
		t.Errorf("a call that came meanwhile is not told: %+v", snap)
	}
	l.Release(0, e)
	l.Unsubscribe(7)
	for id := uint64(100); id < 400; id++ {
		watch(t, l, id)
		l.Unsubscribe(id)
	}
	if !l.Subscribe(7, "mallory", shared) {
		t.Error("everybody who ever watched is remembered")
	}
	if r := l.Report(7, false); r.Balancers != 1 {
		t.Errorf("%d balancers", r.Balancers)
	}
}
