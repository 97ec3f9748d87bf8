package workers

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/failover"
)

// A hedgeSource is a Source of workers that take some time to connect to.
type hedgeSource struct {
	failover.Source // what a hedge does not need
	workers         []*hedgeWorker
	watch           failover.Watch
}

type hedgeWorker struct {
	failover.Leg
	name    string
	connect time.Duration
	tr      rpcnet.Transport
	given   bool // up
}

func (s *hedgeSource) Next(_ context.Context, w *failover.Wish) (failover.Leg, error) {
	for _, o := range s.workers {
		if !slices.Contains(w.Exclude, o.name) {
			return o, nil
		}
	}
	return nil, failover.ErrNoWorker
}

func (s *hedgeSource) Answered(failover.Leg)  {}
func (s *hedgeSource) MaxAttempts() int       { return 4 }
func (s *hedgeSource) Watch() *failover.Watch { return &s.watch }
func (s *hedgeSource) Retryable(error) bool   { return false }

func (w *hedgeWorker) Worker() string  { return w.name }
func (w *hedgeWorker) End(error, bool) {}

func (w *hedgeWorker) Open(ctx context.Context, spec *rpcnet.Spec, _ int) (rpcnet.ClientStream, error) {
	select {
	case <-time.After(w.connect):
		return w.tr.NewStream(ctx, spec)
	case <-ctx.Done():
		w.given = true
		return nil, rpcnet.NewError(rpcnet.CodeOf(ctx.Err()), "connecting").WithUnprocessed()
	}
}

// hedge makes a call that is hedged after 20 ms: the first worker answers after
// a while or fails, the second is one that it takes 400 ms to connect to.
func hedge(t *testing.T, answer func() error) (took time.Duration, second *hedgeWorker, err error) {
	srv := rpcnet.NewServer()
	srv.Handle("work", func(context.Context, []byte) ([]byte, error) { return []byte("x"), answer() })
	tr := rpcnet.InProcess(srv)
	defer tr.Close()
	second = &hedgeWorker{name: "b", connect: 400 * time.Millisecond, tr: tr}
	h := &hedgedStream{
		client: &Client{cfg: ClientConfig{HedgeAfter: 20 * time.Millisecond}, hedges: 1}, ctx: t.Context(),
		spec: &rpcnet.Spec{Procedure: "work", Idempotency: rpcnet.NoSideEffects},
		src:  &hedgeSource{workers: []*hedgeWorker{{name: "a", tr: tr}, second}},
	}
	defer h.Close()
	begin := time.Now()
	if err := rpcnet.SendOne(h, []byte{}); err != nil {
		t.Fatal(err)
	}
	var out []byte
	err = rpcnet.RecvOne(h, &out)
	return time.Since(begin), second, err
}

func TestAnswerDoesNotWaitForTheConnectionOfAHedge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		took, second, err := hedge(t, func() error {
			time.Sleep(100 * time.Millisecond)
			return nil
		})
		if err != nil || took != 100*time.Millisecond {
			t.Errorf("answered after %v: %v", took, err)
		}
		if !second.given {
			t.Error("the hedge goes on")
		}
	})
}

func TestHedgeAnswersForATryThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		took, _, err := hedge(t, func() error {
			if calls++; calls == 1 {
				time.Sleep(100 * time.Millisecond)
				return rpcnet.NewError(rpcnet.CodeUnavailable, "out of order")
			}
			return nil
		})
		if err != nil || took != 420*time.Millisecond {
			t.Errorf("answered after %v: %v", took, err)
		}
	})
}

func TestErrorOfAHedgedCallIsThatOfTheFirstTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		_, _, err := hedge(t, func() error {
			time.Sleep(100 * time.Millisecond)
			calls++
			return rpcnet.NewError([]rpcnet.Code{rpcnet.CodeFailedPrecondition, rpcnet.CodeInternal}[calls-1], "no")
		})
		if rpcnet.CodeOf(err) != rpcnet.CodeFailedPrecondition {
			t.Errorf("got %v", err)
		}
	})
}
