package session

import (
	"errors"
	"sync"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/contexts"
)

func newLifetime() *lifetime {
	l := new(lifetime)
	l.init()
	return l
}

func TestADrainingSessionWaitsForItsStreams(t *testing.T) {
	t.Parallel()
	l := newLifetime()
	if n, ok := l.begin(); n != 1 || !ok {
		t.Fatalf("the first stream: %d, %t", n, ok)
	}
	announced := 0
	for range 2 {
		l.drain(func() { announced++ })
	}
	if announced != 1 || !contexts.Closed(l.drained) || contexts.Closed(l.idle) {
		t.Errorf("announced %d times, drained %t, idle %t", announced, contexts.Closed(l.drained), contexts.Closed(l.idle))
	}
	if _, ok := l.begin(); ok {
		t.Error("a draining session takes a stream")
	}
	if left := l.over(); left != 0 {
		t.Errorf("%d streams are left", left)
	}
	if contexts.Closed(l.idle) {
		t.Error("idle before the peer can know of the end")
	}
	l.checkIdle()
	if !contexts.Closed(l.idle) || contexts.Closed(l.ended) {
		t.Errorf("idle %t, ended %t", contexts.Closed(l.idle), contexts.Closed(l.ended))
	}
}

// A stream that is refused was counted for a moment, in which the drain found the
// session not idle: whoever was refused looks again.
func TestARefusedStreamDoesNotKeepTheSessionFromIdle(t *testing.T) {
	t.Parallel()
	l := newLifetime()
	l.inflight.Store(1) // another's begin, before it looks at draining
	l.drain(func() {})
	l.inflight.Store(0)
	if _, ok := l.begin(); ok || !contexts.Closed(l.idle) {
		t.Errorf("begun %t, idle %t", ok, contexts.Closed(l.idle))
	}
}

// Streams that begin while the session starts to drain are either refused or
// waited for.
func TestDrainAndBeginAtTheSameTime(t *testing.T) {
	t.Parallel()
	for range 1000 {
		l := newLifetime()
		var wg sync.WaitGroup
		wg.Go(func() { l.drain(func() {}) })
		for range 4 {
			wg.Go(func() {
				if _, ok := l.begin(); ok {
					if contexts.Closed(l.idle) {
						t.Error("idle with a stream in flight")
					}
					l.over()
					l.checkIdle()
				}
			})
		}
		wg.Wait()
		if !contexts.Closed(l.idle) {
			t.Fatal("never idle")
		}
	}
}

func TestTheFirstReasonEndsASession(t *testing.T) {
	t.Parallel()
	l := newLifetime()
	if l.Err() != nil {
		t.Error("ended at once")
	}
	first := errors.New("first")
	cuts := 0
	for _, err := range []error{first, errors.New("second")} {
		l.end(err, func() {
			cuts++
			if l.Err() != first {
				t.Errorf("the cut sees %v", l.Err())
			}
		})
	}
	if cuts != 1 || l.Err() != first || !contexts.Closed(l.ended) {
		t.Errorf("cut %d times, %v", cuts, l.Err())
	}
}
