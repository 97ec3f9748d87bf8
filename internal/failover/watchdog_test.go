package failover_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/failover"
)

func TestWorkerThatFreezesBeforeTheSecondMessageIsGivenUpSoon(t *testing.T) {
	for first := range uint64(2) {
		t.Run([]string{"before the first", "before the second"}[first], func(t *testing.T) {
			a := &fakeWorker{name: "a", serve: func(ctx context.Context, _ uint64, s rpcnet.ServerStream) error {
				if first == 1 {
					s.Send(bytes(1))
				}
				return hang(ctx)
			}}
			a.frozen.Store(true)
			bubble(t, func(t *testing.T, c *fakeCluster) {
				if n, took, err := count(t.Context(), t, c); err != nil || n != 5 || took > 800*ms {
					t.Errorf("%d numbers in %v: %v", n, took, err)
				}
			}, a, &fakeWorker{name: "b", serve: upTo(5, 0, nil)})
		})
	}
}

// A stuck stream takes no request.
type stuck struct {
	failing
	once sync.Once
	done chan struct{}
}

func (s *stuck) Send(any) error {
	<-s.done
	return rpcnet.NewError(rpcnet.CodeCanceled, "the stream was closed")
}

func (s *stuck) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}

func TestFrozenWorkerThatTakesNoRequestIsGivenUpSoon(t *testing.T) {
	stick := func() rpcnet.ClientStream { return &stuck{failing: failing{io.EOF}, done: make(chan struct{})} }
	t.Run("stream", func(t *testing.T) {
		a := &fakeWorker{name: "a", stream: stick}
		a.frozen.Store(true)
		bubble(t, func(t *testing.T, c *fakeCluster) {
			if n, took, err := count(t.Context(), t, c); err != nil || n != 5 || took != 750*ms {
				t.Errorf("%d numbers in %v: %v", n, took, err)
			}
		}, a, &fakeWorker{name: "b", serve: upTo(5, 0, nil)})
	})
	t.Run("call", func(t *testing.T) {
		a := &fakeWorker{name: "a", stream: stick}
		a.frozen.Store(true)
		bubble(t, func(t *testing.T, c *fakeCluster) {
			if got, took, err := ask(t.Context(), c, askSpec); err != nil || got != "b" || took != 750*ms {
				t.Errorf("%q in %v: %v", got, took, err)
			}
		}, a, &fakeWorker{name: "b", answer: says("b")})
	})
}

func TestWorkerThatLivesAndIsSlowIsAskedAtGrowingIntervals(t *testing.T) {
	a := &fakeWorker{name: "a", serve: func(ctx context.Context, _ uint64, s rpcnet.ServerStream) error {
		if err := sleep(ctx, 21*time.Second); err != nil {
			return err
		}
		return s.Send(bytes(1))
	}}
	bubble(t, func(t *testing.T, c *fakeCluster) {
		n, _, err := count(t.Context(), t, c)
		if err != nil || n != 1 || a.calls.Load() != 1 {
			t.Errorf("%d numbers, %d calls: %v", n, a.calls.Load(), err)
		}
		if p := a.probes.Load(); p != 12 { // after 0.5, 1, 2, 4, ... 20 s
			t.Errorf("%d probes in 21 s, want 12", p)
		}
	}, a)
}

// No other worker is there, so the stream has nothing to gain from another attempt.
func TestOnlyWorkerMayBeFrozenForAsLongAsResumeTimeout(t *testing.T) {
	a := &fakeWorker{name: "a"}
	thaw := make(chan struct{})
	a.serve = func(ctx context.Context, first uint64, s rpcnet.ServerStream) error {
		select {
		case <-thaw:
		case <-ctx.Done():
			return ctx.Err()
		}
		return upTo(5, 0, nil)(ctx, first, s)
	}
	a.frozen.Store(true)
	bubble(t, func(t *testing.T, c *fakeCluster) {
		thaw = make(chan struct{}) // of the bubble
		time.AfterFunc(8*time.Second, func() { a.frozen.Store(false); close(thaw) })
		if n, _, err := count(t.Context(), t, c); err != nil || n != 5 {
			t.Errorf("%d numbers: %v", n, err)
		}
	}, a)
}

// A scripted stream has message 2 for a Recv that waits when it is closed.
type scripted struct {
	first bool // it has message 1 at once
	once  sync.Once
	in    chan uint64
	done  chan struct{}
}

func newScripted(first bool) rpcnet.ClientStream {
	return &scripted{first: first, in: make(chan uint64), done: make(chan struct{})}
}

func (s *scripted) Send(any) error   { return nil }
func (s *scripted) CloseSend() error { return nil }

func (s *scripted) Recv(msg any) error {
	if s.first {
		s.first = false
		*msg.(*[]byte) = bytes(1)
		return nil
	}
	select {
	case n := <-s.in:
		*msg.(*[]byte) = bytes(n)
		return nil
	case <-s.done:
		return rpcnet.NewError(rpcnet.CodeCanceled, "the stream was closed")
	}
}

func (s *scripted) Close() error {
	s.once.Do(func() {
		select {
		case s.in <- 2:
		default: // no Recv waits
		}
		close(s.done)
	})
	return nil
}

func TestMessageThatComesWhileItsWorkerIsGivenUpIsNotTheLast(t *testing.T) {
	a := &fakeWorker{name: "a", stream: func() rpcnet.ClientStream { return newScripted(true) }}
	a.frozen.Store(true)
	bubble(t, func(t *testing.T, c *fakeCluster) {
		if n, _, err := count(t.Context(), t, c); err != nil || n != 5 {
			t.Errorf("%d numbers: %v", n, err)
		}
	}, a, &fakeWorker{name: "b", serve: upTo(5, 0, nil)})
}

func frozen(name string) *fakeWorker {
	w := &fakeWorker{name: name, answer: func(ctx context.Context) ([]byte, error) { return nil, hang(ctx) }}
	w.frozen.Store(true)
	return w
}

func TestCallWithoutAnAnswerGoesElsewhereIfItsWorkerIsDead(t *testing.T) {
	eachWay(t, func(t *testing.T, c *fakeCluster) {
		if got, took, err := ask(t.Context(), c, askSpec); err != nil || got != "b" || took != 750*ms {
			t.Errorf("%q in %v: %v", got, took, err)
		}
		if n := c.BudgetLeft(); n != 9 {
			t.Errorf("%d tokens left, want 9", n)
		}
		if ended := c.workers[0].ended; len(ended) != 1 || failover.Judge(ended[0]) != failover.Bad {
			t.Errorf("the dead worker is told %v", ended)
		}
	}, func() []*fakeWorker { return []*fakeWorker{frozen("a"), {name: "b", answer: says("b")}} })
}

func TestSlowCallOfALivingWorkerIsLeftAlone(t *testing.T) {
	eachWay(t, func(t *testing.T, c *fakeCluster) {
		a := c.workers[0]
		got, took, err := ask(t.Context(), c, askSpec)
		if err != nil || got != "a" || took != time.Minute || a.calls.Load() != 1 {
			t.Errorf("%q in %v, %d calls: %v", got, took, a.calls.Load(), err)
		}
		if p := a.probes.Load(); p != 30 {
			t.Errorf("%d probes in a minute, want 30", p)
		}
	}, func() []*fakeWorker {
		return []*fakeWorker{{name: "a", answer: func(ctx context.Context) ([]byte, error) { return []byte("a"), sleep(ctx, time.Minute) }}, {name: "b", answer: says("b")}}
	})
}

func TestCallThatMayNotBeMadeTwiceIsNotGivenUp(t *testing.T) {
	once := &rpcnet.Spec{Procedure: "ask"}
	eachWay(t, func(t *testing.T, c *fakeCluster) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, took, err := ask(ctx, c, once)
		wantCode(t, err, rpcnet.CodeDeadlineExceeded)
		if took < 5*time.Second || c.workers[1].calls.Load() != 0 {
			t.Errorf("ended after %v", took)
		}
	}, func() []*fakeWorker { return []*fakeWorker{frozen("a"), {name: "b", answer: says("b")}} })
}

func thawing(name string, after time.Duration) *fakeWorker {
	w := &fakeWorker{name: name, answer: func(ctx context.Context) ([]byte, error) { return []byte(name), sleep(ctx, after) }}
	w.frozen.Store(true)
	return w
}

// Better late than not at all.
func TestCallWaitsForASilentWorkerWhenNobodyElseIsThereOrTheBudgetIsEmpty(t *testing.T) {
	t.Run("alone", func(t *testing.T) {
		eachWay(t, func(t *testing.T, c *fakeCluster) {
			if got, _, err := ask(t.Context(), c, askSpec); err != nil || got != "a" {
				t.Errorf("%q: %v", got, err)
			}
		}, func() []*fakeWorker { return []*fakeWorker{thawing("a", 20*time.Second)} })
	})
	t.Run("no budget", func(t *testing.T) {
		eachWay(t, func(t *testing.T, c *fakeCluster) {
			c.SpendBudget()
			if got, took, err := ask(t.Context(), c, askSpec); err != nil || got != "a" || took != 20*time.Second {
				t.Errorf("%q in %v: %v", got, took, err)
			}
		}, func() []*fakeWorker {
			return []*fakeWorker{thawing("a", 20*time.Second), {name: "b", answer: says("b")}}
		})
	})
}

// An answer comes at the moment its attempt is given up: it is the answer.
func TestAnswerThatComesWhileItsWorkerIsGivenUpIsTheAnswer(t *testing.T) {
	a := &fakeWorker{name: "a", stream: func() rpcnet.ClientStream { return newScripted(false) }}
	a.frozen.Store(true)
	bubble(t, func(t *testing.T, c *fakeCluster) {
		s := open(t.Context(), t, c, askSpec)
		defer s.Close()
		if err := codegen.SendOne(s, []byte{}); err != nil {
			t.Fatal(err)
		}
		var b []byte
		if err := s.Recv(&b); err != nil || number(b) != 2 {
			t.Fatalf("%d, %v", b, err)
		}
		if err := s.Recv(&b); err != io.EOF {
			t.Errorf("the end: %v", err)
		}
	}, a)
}

// Many calls of one client wait at the same time, and those that are answered
// in time are not asked about.
func TestOnlyCallsThatWaitAreAskedAbout(t *testing.T) {
	eachWay(t, func(t *testing.T, c *fakeCluster) {
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				time.Sleep(time.Duration(i%7) * 100 * ms)
				if got, _, err := ask(t.Context(), c, askSpec); err != nil || got != "a" {
					t.Errorf("%q: %v", got, err)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Minute)
		if p := c.workers[0].probes.Load(); p != 0 {
			t.Errorf("%d probes", p)
		}
	}, func() []*fakeWorker {
		return []*fakeWorker{{name: "a", answer: func(ctx context.Context) ([]byte, error) { return []byte("a"), sleep(ctx, 400*ms) }}}
	})
}

func TestWatchingACallThatIsAnsweredTakesNoMemory(t *testing.T) {
	w := &fakeWorker{name: "a", stream: func() rpcnet.ClientStream { return new(prompt) }}
	c := newFakeCluster(t, failover.Config{}, w)
	defer c.Close()
	allocs := func(spec *rpcnet.Spec) float64 {
		return testing.AllocsPerRun(200, func() {
			if _, _, err := ask(t.Context(), c, spec); err != nil {
				t.Fatal(err)
			}
			w.ended = w.ended[:0]
		})
	}
	watched, not := allocs(askSpec), allocs(&rpcnet.Spec{Procedure: "ask"})
	if watched > not {
		t.Errorf("%v allocations, %v without", watched, not)
	}
}

// A prompt stream is answered at once.
type prompt struct{ received bool }

func (p *prompt) Send(any) error   { return nil }
func (p *prompt) CloseSend() error { return nil }
func (p *prompt) Close() error     { return nil }

func (p *prompt) Recv(any) error {
	if p.received {
		return io.EOF
	}
	p.received = true
	return nil
}
