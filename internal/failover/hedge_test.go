package failover_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/failover"
)

// hedge makes a call that is hedged after 20 ms: the first worker answers after
// a while or fails, the second is one that it takes 400 ms to connect to.
func hedge(t *testing.T, answer func() error) (took time.Duration, second *fakeWorker, err error) {
	work := func(context.Context) ([]byte, error) { return []byte("x"), answer() }
	first := &fakeWorker{name: "a", answer: work}
	second = &fakeWorker{name: "b", answer: work, connect: 400 * ms}
	cfg := failover.Config{HedgeAfter: 20 * ms, Retryable: func(error) bool { return false }}
	c := newFakeCluster(t, cfg, first, second)
	defer c.Close()
	defer serve(c)()
	c.SaveHedge()
	_, took, err = ask(t.Context(), c, askSpec)
	return took, second, err
}

func TestAnswerDoesNotWaitForTheConnectionOfAHedge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		took, second, err := hedge(t, func() error {
			time.Sleep(100 * ms)
			return nil
		})
		if err != nil || took != 100*ms {
			t.Errorf("answered after %v: %v", took, err)
		}
		if !second.givenUp.Load() {
			t.Error("the hedge goes on")
		}
	})
}

func TestHedgeAnswersForAnAttemptThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		took, _, err := hedge(t, func() error {
			if calls++; calls == 1 {
				time.Sleep(100 * ms)
				return rpcnet.NewError(rpcnet.CodeUnavailable, "out of order")
			}
			return nil
		})
		if err != nil || took != 420*ms {
			t.Errorf("answered after %v: %v", took, err)
		}
	})
}

func TestErrorOfAHedgedCallIsThatOfTheFirstAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		_, _, err := hedge(t, func() error {
			time.Sleep(100 * ms)
			calls++
			return rpcnet.NewError([]rpcnet.Code{rpcnet.CodeFailedPrecondition, rpcnet.CodeInternal}[calls-1], "no")
		})
		if rpcnet.CodeOf(err) != rpcnet.CodeFailedPrecondition {
			t.Errorf("got %v", err)
		}
	})
}
