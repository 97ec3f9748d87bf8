package failover_test

import (
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/failover"
)

// Of two workers that fail in turn one is well at any time, so no time to
// wait for one is needed.
func TestWorkerThatFailedBeforeIsAskedAgainWhenNobodyElseIsThere(t *testing.T) {
	failed := uint64(0)
	serve := upTo(45, ms, func(n uint64) error {
		if n%10 == 0 && n > failed {
			failed = n
			return errFailed
		}
		return nil
	})
	bubbleOf(t, failover.Config{ResumeTimeout: -1}, func(t *testing.T, c *fakeCluster) {
		n, _, err := count(t.Context(), t, c)
		if n != 45 || err != nil || failed != 40 {
			t.Errorf("%d numbers, the last failure at %d, %v", n, failed, err)
		}
		for _, e := range c.events {
			if e.Kind == failover.Waiting {
				t.Error("the stream waited")
			}
		}
	}, &fakeWorker{name: "a", serve: serve}, &fakeWorker{name: "b", serve: serve})
}
