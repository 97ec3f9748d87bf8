package contexts_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/contexts"
)

func TestSleepEndsWithItsTimeOrItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if !contexts.Sleep(t.Context(), time.Minute) || time.Since(start) != time.Minute {
			t.Errorf("slept %v, want a minute", time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if contexts.Sleep(ctx, time.Minute) || time.Since(start) != time.Second {
			t.Errorf("slept %v, want a second", time.Since(start))
		}
	})
}

func TestUntilEndsWithItsChannel(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	ctx := contexts.Until(done)
	child, cancel := context.WithCancel(ctx)
	defer cancel()
	if _, ok := ctx.Deadline(); ok || ctx.Err() != nil || ctx.Value("key") != nil {
		t.Errorf("before: %v", ctx.Err())
	}
	close(done)
	<-child.Done()
	if ctx.Err() != context.Canceled || child.Err() != context.Canceled {
		t.Errorf("after: %v, of the child %v", ctx.Err(), child.Err())
	}
}
