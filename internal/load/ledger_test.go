package load_test

import (
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
)

const (
	ms     = time.Millisecond
	second = time.Second
)

func ticketed(chooser, number uint64) load.Call {
	return load.Call{Ticketed: true, Ticket: load.Ticket{Chooser: chooser, Number: number, QueueOK: true}}
}

// admit admits c or fails.
func admit(t *testing.T, l *load.Ledger, now time.Duration, c load.Call) *load.Entry {
	t.Helper()
	e, _, why := l.Admit(now, c)
	if why != load.Admitted {
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
	if _, _, why := l.Admit(0, load.Call{}); why != load.QueueFull {
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
	if _, _, why := l.Admit(0, load.Call{}); why != load.QueueFull {
		t.Errorf("got %v", why)
	}
}

func TestLastPlaceTakenByAnotherDirectorIsRefusedOnlyAsASurprise(t *testing.T) {
	t.Parallel()
	l := load.NewLedger(1, load.Limits{Capacity: 1})
	admit(t, l, 0, ticketed(1, 1)) // the first director's
	second := load.Call{Ticketed: true, Ticket: load.Ticket{Chooser: 2, Number: 1}}
	if _, _, why := l.Admit(0, second); why != load.Surprised {
		t.Errorf("second director, which believed in a free place: %v", why)
	}
	knew := second
	knew.Ticket.QueueOK, knew.Ticket.Number = true, 2
	if e := admit(t, l, 0, knew); !e.Waiting() {
		t.Error("a call that was told to wait runs")
	}
	// After three tries a call is not bounced any more.
	l = load.NewLedger(1, load.Limits{Capacity: 1})
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
	l.Release(2*second, admit(t, l, 0, load.Call{})) // calls take 2 s
	admit(t, l, 0, load.Call{})
	if _, _, why := l.Admit(0, load.Call{Left: second}); why != load.TooLate {
		t.Errorf("1 s left: %v", why)
	}
	if _, _, why := l.Admit(0, load.Call{Left: 3 * second}); why != load.Admitted {
		t.Errorf("3 s left: %v", why)
	}
}

func TestSameTicketTwiceCountsOnceAndTheNewerAttemptStays(t *testing.T) {
	t.Parallel()
	l := load.NewLedger(1, load.Limits{Capacity: 1})
	l.Watch(7)
	c := ticketed(7, 1)
	old := admit(t, l, 0, c)
	c.Attempt = 1
	e, replaced, why := l.Admit(10*ms, c)
	if why != load.Admitted || replaced != old || e.Waiting() || l.InFlight() != 1 {
		t.Fatalf("redialled: %v, replaced %v, in flight %d", why, replaced, l.InFlight())
	}
	c.Attempt = 0
	if _, _, why := l.Admit(20*ms, c); why != load.Superseded {
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
	l := load.NewLedger(1, load.Limits{Capacity: 1, Queue: 3})
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
	if _, _, why := l.Admit(0, load.Call{}); why != load.IsDraining {
		t.Errorf("got %v", why)
	}
	if r := l.Report(1, false); r.State != load.Draining || r.InFlight != 1 {
		t.Errorf("report %+v", r)
	}
	l.Release(0, e)
	if l.InFlight() != 0 {
		t.Error("the last call still counts")
	}
}

func TestReportReadsCountsAndClaimsAtOneMoment(t *testing.T) {
	t.Parallel()
	l := load.NewLedger(9, load.Limits{Capacity: 8})
	l.Watch(7)
	l.Watch(8)
	a := admit(t, l, 0, ticketed(7, 1))
	admit(t, l, 0, ticketed(7, 2))
	admit(t, l, 0, ticketed(8, 1))
	admit(t, l, 0, ticketed(8, 0)) // made by chooser 8 itself
	r := l.Report(7, false)
	if r.Epoch != 9 || r.InFlight != 4 || r.Yours != 0 || r.Choosers != 2 || len(r.Claimed) != 2 {
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
	l.Unwatch(8)
	if r := l.Report(7, false); r.Choosers != 1 {
		t.Errorf("one chooser left: %+v", r)
	}
}

func TestRefusedTicketIsClaimedToo(t *testing.T) {
	t.Parallel()
	l := load.NewLedger(1, load.Limits{})
	l.Watch(7)
	l.Drain()
	l.Admit(0, ticketed(7, 5))
	if r := l.Report(7, false); len(r.Claimed) != 1 || r.Claimed[0] != 5 {
		t.Errorf("claimed %v", r.Claimed)
	}
}

func TestReconnectingChooserStaysWhileOneStreamIsThere(t *testing.T) {
	t.Parallel()
	l := load.NewLedger(1, load.Limits{})
	l.Watch(7)
	l.Watch(7)
	l.Unwatch(7)
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
