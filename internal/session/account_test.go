package session

import (
	"sync"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/budget"
)

// newMemory returns a memory whose account has room bytes beside the cost of its
// session.
func newMemory(t *testing.T, room int64) *memory {
	t.Helper()
	account, err := Charge(budget.New(Cost+room, Cost+room), "peer")
	if err != nil {
		t.Fatal(err)
	}
	return &memory{account: account, most: 1 << 20}
}

// wantUsed wants the account to have given so much beside the cost of the session.
func (m *memory) wantUsed(t *testing.T, what string, want int64) {
	t.Helper()
	if got := m.account.Used() - Cost; got != want {
		t.Errorf("%s: %d bytes of the account are taken, want %d", what, got, want)
	}
}

func TestMemoryTakesMessagesInBlocks(t *testing.T) {
	t.Parallel()
	m := newMemory(t, 20*memoryBlock)
	for _, step := range []struct {
		what string
		hold int64 // negative: release
		used int64 // in blocks
		fail bool
	}{
		{"the first byte", 1, 1, false},
		{"the rest of the block", memoryBlock - 1, 1, false},
		{"one more", 1, 2, false},
		{"all there is", 18*memoryBlock - 1, 19, false},
		{"too much", 2 * memoryBlock, 19, true},
		{"what was refused goes", -2 * memoryBlock, 19, false},
		{"a little is kept back", -4 * memoryBlock, 19, false},
		{"more than a little is given back, but for half of it", -8 * memoryBlock, 11, false},
		{"the rest", -7 * memoryBlock, 4, false},
	} {
		var err error
		if step.hold > 0 {
			err = m.hold(step.hold)
		} else {
			m.release(-step.hold)
		}
		if (err != nil) != step.fail {
			t.Errorf("%s: %v", step.what, err)
		}
		m.wantUsed(t, step.what, step.used*memoryBlock)
	}
	if n := m.buffered.Load(); n != 0 {
		t.Errorf("%d bytes are buffered", n)
	}
	m.settle()
	m.wantUsed(t, "idle", 0)
}

func TestMemoryCountsStreams(t *testing.T) {
	t.Parallel()
	const block = streamBlock * streamCost
	m := newMemory(t, 2*block)
	run := func(n int, fail bool) {
		t.Helper()
		for range n {
			if err := m.holdStream(); err != nil {
				if !fail {
					t.Fatal(err)
				}
				return
			}
			m.running.Add(1)
		}
		if fail {
			t.Errorf("%d streams run", m.running.Load())
		}
	}
	run(freeStreams, false)
	m.wantUsed(t, "the first streams are free", 0)
	run(1, false)
	m.wantUsed(t, "one more", block)
	run(2*streamBlock-1, false)
	m.wantUsed(t, "two blocks", 2*block)
	run(1, true)
	for range streamBlock {
		m.streamOver()
	}
	m.wantUsed(t, "they are kept while the session is at work", 2*block)
	m.settle()
	m.wantUsed(t, "idle", block)
	m.settleAll() // the session ends while handlers run
	m.account.Take(m.account.Budget().Sessions, Cost)
	m.wantUsed(t, "ended", block)
	for range streamBlock + freeStreams {
		m.streamOver()
	}
	m.wantUsed(t, "the last handler has ended", 0)
}

// One goroutine holds, as the reader does, and others release: nothing is lost.
func TestMemoryIsReleasedByAnyGoroutine(t *testing.T) {
	t.Parallel()
	m := newMemory(t, 1<<30)
	came := make(chan int64, 100)
	var receivers sync.WaitGroup
	for range 4 {
		receivers.Go(func() {
			for n := range came {
				m.release(n)
			}
		})
	}
	for i := range int64(20_000) {
		if err := m.hold(i * 7 % 5000); err != nil {
			t.Fatal(err)
		}
		came <- i * 7 % 5000
	}
	close(came)
	receivers.Wait()
	m.settle()
	if n := m.buffered.Load(); n != 0 {
		t.Errorf("%d bytes are buffered", n)
	}
	m.wantUsed(t, "at the end", 0)
}

// A session without an account has a limit too.
func TestMemoryWithoutAnAccount(t *testing.T) {
	t.Parallel()
	m := new(memory)
	if err := m.hold(heldMost); err != nil {
		t.Error(err)
	}
	if err := m.hold(1); err != errHeld {
		t.Errorf("%v", err)
	}
	m.release(heldMost + 1)
	if err := m.hold(1); err != nil {
		t.Error(err)
	}
	m.settle()
	m.settleAll()
}

func TestRoomForUnfinishedMessages(t *testing.T) {
	t.Parallel()
	m := &memory{most: 1000}
	m.parting.Store(600)
	for _, c := range []struct {
		held    int64
		largest int
		want    bool
	}{{400, 10, true}, {401, 10, false}, {1400 + perMessage, 2000, true}, {1401 + perMessage, 2000, false}} {
		if got := m.roomForParts(c.held, c.largest); got != c.want {
			t.Errorf("%d bytes, messages of up to %d: %t", c.held, c.largest, got)
		}
	}
}
