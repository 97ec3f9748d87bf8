package session

import (
	"slices"
	"testing"
	"testing/synctest"
)

func newIDs(limit uint32) *ids { return &ids{limit: limit, ended: make(chan struct{})} }

func mustTake(t *testing.T, x *ids) uint32 {
	t.Helper()
	id, err := x.take(nil)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Low ids are used, and used again, so that the table of streams stays small.
func TestIDsAreUsedAgain(t *testing.T) {
	t.Parallel()
	x := newIDs(100)
	for want := uint32(1); want <= 3; want++ {
		if id := mustTake(t, x); id != want {
			t.Errorf("id %d, want %d", id, want)
		}
	}
	x.put(1)
	x.put(2)
	for _, want := range []uint32{2, 1, 4} {
		if id := mustTake(t, x); id != want {
			t.Errorf("id %d, want %d", id, want)
		}
	}
}

// Whoever finds no id waits; ids that come free go to those who wait, each to one.
func TestIDsAreWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newIDs(2)
		mustTake(t, x)
		mustTake(t, x)
		got := make(chan uint32, 3)
		for range 3 {
			go func() {
				id, err := x.take(nil)
				if err != nil {
					t.Error(err)
				}
				got <- id
			}()
		}
		synctest.Wait()
		if n := x.waiting.Load(); n != 3 {
			t.Errorf("%d wait, want 3", n)
		}
		x.put(2)
		if id := <-got; id != 2 {
			t.Errorf("id %d, want 2", id)
		}
		x.put(1)
		x.put(2)
		ids := []uint32{<-got, <-got}
		slices.Sort(ids)
		if !slices.Equal(ids, []uint32{1, 2}) || x.waiting.Load() != 0 {
			t.Errorf("ids %v, %d still wait", ids, x.waiting.Load())
		}
	})
}

// A waiter that gives up loses no id: one that was woken and does not want it any
// more wakes the next.
func TestIDsOfWaitersThatGiveUpAreNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newIDs(1)
		mustTake(t, x)
		done := make(chan struct{})
		gaveUp := make(chan error)
		go func() {
			_, err := x.take(done)
			gaveUp <- err
		}()
		synctest.Wait()
		got := make(chan uint32)
		go func() { got <- mustTake(t, x) }()
		synctest.Wait()
		close(done)
		if err := <-gaveUp; !WasQueued(err) {
			t.Errorf("%v, want that it was queued", err)
		}
		x.put(1)
		if id := <-got; id != 1 {
			t.Errorf("id %d", id)
		}
		// woken and gone: what wait does when both channels are closed
		woken := make(chan struct{})
		next := make(chan struct{})
		x.waiters = []chan struct{}{next}
		if x.wait(make(chan struct{}), closed()) {
			t.Error("a waiter that gave up has an id")
		}
		select {
		case <-next:
		default:
			t.Error("the next one was not woken")
		}
		x.waiters = []chan struct{}{woken}
		x.wait(woken, closed())
		if len(x.waiters) != 0 {
			t.Error("a waiter that gave up is still in the line")
		}
	})
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func TestIDsEndWithTheSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		x := &ids{limit: 1, ended: ended}
		mustTake(t, x)
		errs := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := x.take(nil)
				errs <- err
			}()
		}
		synctest.Wait()
		close(ended)
		x.wakeAll()
		for range 2 {
			if err := <-errs; err != errEnded {
				t.Errorf("%v", err)
			}
		}
		x.put(1)
		if _, err := x.take(nil); err != errEnded {
			t.Errorf("%v after the end", err)
		}
	})
}

func TestTable(t *testing.T) {
	t.Parallel()
	var x table
	x.init(chunkSize + 1)
	for _, id := range []uint32{0, 2*chunkSize + 1, 1 << 31} { // the last chunk is whole
		if x.make(id) != nil || x.at(id) != nil {
			t.Errorf("a cell for id %d", id)
		}
	}
	if x.at(chunkSize+1) != nil {
		t.Error("a cell in a chunk that was never used")
	}
	a, b := new(Stream), new(Stream)
	x.make(1).Store(a)
	x.make(chunkSize + 1).Store(b)
	if x.make(1).Load() != a || x.at(1).Load() != a || x.at(chunkSize+1).Load() != b || x.at(2).Load() != nil {
		t.Error("the cells do not hold what was stored")
	}
	var all []*Stream
	x.each(func(st *Stream) { all = append(all, st) })
	if !slices.Equal(all, []*Stream{a, b}) {
		t.Errorf("each: %v", all)
	}
}
