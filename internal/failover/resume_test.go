package failover_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/failover"
)

var (
	errFull     = failover.FullError("queue is full", 0)
	errDraining = rpcnet.NewError(rpcnet.CodeUnavailable, "draining").WithUnprocessed()
	errFailed   = rpcnet.NewError(rpcnet.CodeUnavailable, "out of order")
)

func refusing(name string, err error) *fakeWorker {
	return &fakeWorker{name: name, refuse: func() error { return err }}
}

func TestStreamThatEverybodyRefusesPausesLongerEachTimeAndEnds(t *testing.T) {
	for _, refusal := range []error{errFull, errDraining} {
		t.Run(rpcnet.CodeOf(refusal).String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, c *fakeCluster) {
				n, took, err := count(t.Context(), t, c)
				wantCode(t, err, rpcnet.CodeOf(refusal))
				if n != 0 || took < c.timeout || took > c.timeout+time.Second {
					t.Errorf("%d numbers, ended after %v, want the time-out of %v", n, took, c.timeout)
				}
				if calls := c.calls(); calls < 20 || calls > 40 {
					t.Errorf("%d calls in %v, want about 10 rounds of 3", calls, took)
				}
				var pauses []time.Duration
				for _, e := range c.events {
					if e.Kind == failover.Waiting {
						pauses = append(pauses, e.Pause)
					}
				}
				for i := range len(pauses) - 2 { // the last one ends with the time-out
					if pauses[i+1] < pauses[i]/2 {
						t.Errorf("pauses of %v do not grow", pauses)
					}
				}
			}, refusing("a", refusal), refusing("b", refusal), refusing("c", refusal))
		})
	}
}

func TestRefusalThatNoWorkerWouldTakeBackEndsTheStreamAtOnce(t *testing.T) {
	denied := rpcnet.NewError(rpcnet.CodeUnauthenticated, "no token").WithUnprocessed()
	bubble(t, func(t *testing.T, c *fakeCluster) {
		_, took, err := count(t.Context(), t, c)
		wantCode(t, err, rpcnet.CodeUnauthenticated)
		if calls := c.calls(); calls != 1 || took > 0 {
			t.Errorf("%d calls in %v", calls, took)
		}
	}, refusing("a", denied), refusing("b", denied))
}

func TestStreamOverALimitOfEveryWorkerEndsWithinASecond(t *testing.T) {
	over := rpcnet.NewError(rpcnet.CodeResourceExhausted, "message of 5 MiB is over the limit").WithUnprocessed()
	bubble(t, func(t *testing.T, c *fakeCluster) {
		_, took, err := count(t.Context(), t, c)
		wantCode(t, err, rpcnet.CodeResourceExhausted)
		if took > 1100*ms || c.calls() > 12 {
			t.Errorf("%d calls in %v", c.calls(), took)
		}
	}, refusing("a", over), refusing("b", over))
}

func TestStreamOverTheLimitOfOneWorkerGoesToAnother(t *testing.T) {
	over := rpcnet.NewError(rpcnet.CodeResourceExhausted, "message of 5 MiB is over the limit").WithUnprocessed()
	bubble(t, func(t *testing.T, c *fakeCluster) {
		if n, took, err := count(t.Context(), t, c); err != nil || n != 3 || took > 0 {
			t.Errorf("%d numbers in %v: %v", n, took, err)
		}
	}, refusing("a", over), &fakeWorker{name: "b", serve: upTo(3, 0, nil)})
}

func TestRefusalsOfDrainingWorkersCostNothing(t *testing.T) {
	var ws []*fakeWorker
	for i := range 10 {
		ws = append(ws, refusing(fmt.Sprint("draining-", i), errDraining))
	}
	bubble(t, func(t *testing.T, c *fakeCluster) {
		if n, took, err := count(t.Context(), t, c); err != nil || n != 3 || took > 0 {
			t.Errorf("%d numbers in %v: %v", n, took, err)
		}
	}, append(ws, &fakeWorker{name: "z", serve: upTo(3, 0, nil)})...)
}

// The worker fails before every second number and has no room for 7 s after
// that: more than ResumeTimeout in all, and less each time.
func TestResumeTimeoutIsMeasuredFromTheLastMessage(t *testing.T) {
	var until time.Time
	failed := map[uint64]bool{}
	w := &fakeWorker{name: "a", refuse: func() error {
		if time.Now().Before(until) {
			return errFull
		}
		return nil
	}}
	w.serve = upTo(6, 0, func(n uint64) error {
		if n%2 == 0 && !failed[n] {
			failed[n], until = true, time.Now().Add(7*time.Second)
			return errFailed
		}
		return nil
	})
	bubble(t, func(t *testing.T, c *fakeCluster) {
		if n, took, err := count(t.Context(), t, c); err != nil || n != 6 || took < 21*time.Second {
			t.Errorf("%d numbers in %v: %v", n, took, err)
		}
	}, w)
}

func TestDisturbanceOfAllWorkersIsOutlasted(t *testing.T) {
	for i := range 20 { // the pauses are random
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			var until time.Time
			blip := func(n uint64) error {
				if n == 5 && until.IsZero() {
					until = time.Now().Add(290 * ms)
				}
				if n == 5 && time.Now().Before(until) {
					return errFailed
				}
				return nil
			}
			bubble(t, func(t *testing.T, c *fakeCluster) {
				if n, took, err := count(t.Context(), t, c); err != nil || n != 9 || took > time.Second {
					t.Errorf("%d numbers in %v: %v", n, took, err)
				}
			}, &fakeWorker{name: "a", serve: upTo(9, 0, blip)}, &fakeWorker{name: "b", serve: upTo(9, 0, blip)})
		})
	}
}

func TestFirstResumeOfARowIsAtOnceAndTheFourthIsNone(t *testing.T) {
	var once atomic.Bool
	bubble(t, func(t *testing.T, c *fakeCluster) {
		if n, took, err := count(t.Context(), t, c); err != nil || n != 9 || took > 0 {
			t.Errorf("%d numbers in %v: %v", n, took, err)
		}
	}, &fakeWorker{name: "a", serve: upTo(9, 0, func(n uint64) error {
		if n == 5 && !once.Swap(true) {
			return errFailed
		}
		return nil
	})}, &fakeWorker{name: "b", serve: upTo(9, 0, nil)})
	t.Run("poison", func(t *testing.T) {
		poison := func(uint64) error { return errFailed }
		bubble(t, func(t *testing.T, c *fakeCluster) {
			_, took, err := count(t.Context(), t, c)
			if !errors.Is(err, failover.ErrNoProgress) || c.calls() != 1+failover.MaxResumes || took < 300*ms || took > time.Second {
				t.Errorf("%d calls in %v: %v", c.calls(), took, err)
			}
			wantCode(t, err, rpcnet.CodeUnavailable)
		}, &fakeWorker{name: "a", serve: upTo(9, 0, poison)}, &fakeWorker{name: "b", serve: upTo(9, 0, poison)})
	})
}

func TestStreamOfAClosedClientEndsAtOnce(t *testing.T) {
	conns := failover.NewConns(time.Second, nil)
	conns.Close()
	var lease failover.Lease
	_, closed := lease.Take(t.Context(), conns, failover.Worker{Addr: "127.0.0.1:1"}, false)
	w := &fakeWorker{name: "a", stream: func() rpcnet.ClientStream { return &failing{closed} }}
	bubble(t, func(t *testing.T, c *fakeCluster) {
		_, took, err := count(t.Context(), t, c)
		wantCode(t, err, rpcnet.CodeUnavailable)
		if took > 0 {
			t.Errorf("ended after %v", took)
		}
	}, w)
}

// A failing stream has ended.
type failing struct{ err error }

func (f *failing) Send(any) error   { return nil }
func (f *failing) CloseSend() error { return nil }
func (f *failing) Recv(any) error   { return f.err }
func (f *failing) Close() error     { return nil }

func TestEndOfTheContextEndsThePause(t *testing.T) {
	bubble(t, func(t *testing.T, c *fakeCluster) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, took, err := count(ctx, t, c)
		wantCode(t, err, rpcnet.CodeDeadlineExceeded)
		if took != 3*time.Second {
			t.Errorf("ended after %v", took)
		}
	}, refusing("a", errFull))
}

// A worker that was chosen just before it began to drain has not failed.
func TestStreamThatADrainingWorkerDoesNotTakeHasMoved(t *testing.T) {
	bubble(t, func(t *testing.T, c *fakeCluster) {
		n, took, err := count(t.Context(), t, c)
		if n != 3 || err != nil || took > 10*ms {
			t.Errorf("%d numbers in %v, %v", n, took, err)
		}
		if len(c.events) != 2 || c.events[0].Kind != failover.Moved || c.events[0].Worker != "a" || c.events[1].Kind != failover.Resumed {
			t.Errorf("events %+v, want that it moved", c.events)
		}
	}, refusing("a", errDraining), &fakeWorker{name: "b", serve: upTo(3, ms, nil)})
}

// TestAWorkerThatRepeatsAndMovesDoesNotKeepAStreamForEver: messages that the
// client has already, and the end of a stream that moves, are no progress; the
// caller has the error when ResumeTimeout has passed.
func TestAWorkerThatRepeatsAndMovesDoesNotKeepAStreamForEver(t *testing.T) {
	var calls atomic.Int32
	liar := &fakeWorker{name: "a", serve: func(_ context.Context, first uint64, s rpcnet.ServerStream) error {
		if calls.Add(1) == 1 {
			if err := s.Send(bytes(first)); err != nil {
				return err
			}
		}
		if err := s.Send(bytes(1)); err != nil { // the client has it
			return err
		}
		return failover.MovedError(1)
	}}
	bubble(t, func(t *testing.T, c *fakeCluster) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		n, took, err := count(ctx, t, c)
		if n != 1 || err == nil || ctx.Err() != nil || took > c.timeout+5*time.Second {
			t.Errorf("%d numbers, ended after %v: %v", n, took, err)
		}
	}, liar)
}

// FuzzMoved: whatever a worker says of the end of its stream is taken apart with
// care.
func FuzzMoved(f *testing.F) {
	f.Add([]byte{1})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		last, ok := failover.MovedAt(rpcnet.NewError(rpcnet.CodeUnavailable, "").WithDetail(&codegen.Detail{Name: failover.MovedDetail, Data: data}))
		if again, ok2 := failover.MovedAt(failover.MovedError(last)); ok && (!ok2 || again != last) {
			t.Errorf("%x: %d became %d, %v", data, last, again, ok2)
		}
	})
}

// A stream waits for as long as the worker says, up to a bound.
func TestStreamWaitsAsLongAsTheWorkerSays(t *testing.T) {
	for says, want := range map[time.Duration]time.Duration{3 * time.Second: 3 * time.Second, time.Minute: 5 * time.Second} {
		t.Run(says.String(), func(t *testing.T) {
			var pauses []time.Duration
			refused := 0
			w := &fakeWorker{name: "a", serve: upTo(3, 0, nil), refuse: func() error {
				if refused++; refused <= 4 {
					return failover.FullError("queue is full", says)
				}
				return nil
			}}
			bubbleOf(t, failover.Config{ResumeTimeout: time.Minute}, func(t *testing.T, c *fakeCluster) {
				if n, _, err := count(t.Context(), t, c); err != nil || n != 3 {
					t.Errorf("%d numbers: %v", n, err)
				}
				for _, e := range c.events {
					if e.Kind == failover.Waiting {
						pauses = append(pauses, e.Pause)
					}
				}
			}, w)
			if len(pauses) == 0 || slices.Min(pauses) < want || slices.Max(pauses) > want {
				t.Errorf("the worker says %v: pauses %v, want %v each", says, pauses, want)
			}
		})
	}
}

// Events say which attempt of the call they are of.
func TestEventsHaveTheNumberOfTheirAttempt(t *testing.T) {
	failed := false
	w := &fakeWorker{name: "a", serve: upTo(3, 0, func(n uint64) error {
		if n == 2 && !failed {
			failed = true
			return errFailed
		}
		return nil
	})}
	bubble(t, func(t *testing.T, c *fakeCluster) {
		if n, _, err := count(t.Context(), t, c); err != nil || n != 3 {
			t.Errorf("%d numbers: %v", n, err)
		}
		var got []string
		for _, e := range c.events {
			if e.Kind == failover.Failed || e.Kind == failover.Resumed {
				got = append(got, fmt.Sprint(e.Kind, " ", e.Worker, " ", e.Attempt))
			}
		}
		want := []string{fmt.Sprint(failover.Failed, " a 0"), fmt.Sprint(failover.Resumed, " a 1")}
		if !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
	}, w)
}

// A stream whose first request asks from a number begins there, and goes on from where it
// is after a failure.
func TestStreamBeginsWhereItsRequestAsks(t *testing.T) {
	spec, resume := *countSpec, *countSpec.Resume
	resume.Next = func(req any) uint64 { return number(req.([]byte)) }
	spec.Resume = &resume
	failed := false
	w := &fakeWorker{name: "a", serve: upTo(6, 0, func(n uint64) error {
		if n == 5 && !failed {
			failed = true
			return errFailed
		}
		return nil
	})}
	bubble(t, func(t *testing.T, c *fakeCluster) {
		s := open(t.Context(), t, c, &spec)
		defer s.Close()
		if err := codegen.SendOne(s, bytes(3)); err != nil {
			t.Fatal(err)
		}
		for want := uint64(3); want <= 6; want++ {
			var b []byte
			if err := s.Recv(&b); err != nil || number(b) != want {
				t.Fatalf("%d, %v; want %d", number(b), err, want)
			}
		}
	}, w)
}
