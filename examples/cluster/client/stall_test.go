package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAStallEndsTheContextWithItsCause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, w := watchForStall(t.Context(), 3*time.Second)
		defer w.Stop()
		for range 5 {
			time.Sleep(2 * time.Second)
			w.Saw()
		}
		if ctx.Err() != nil {
			t.Fatal("ended while the stream lived")
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if cause := context.Cause(ctx); !errors.Is(cause, errStalled) {
			t.Errorf("cause %v, want a stall", cause)
		}
	})
}

func TestAStoppedWatchEndsTheContextWithoutAStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, w := watchForStall(t.Context(), time.Second)
		w.Stop()
		time.Sleep(2 * time.Second)
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) || errors.Is(cause, errStalled) {
			t.Errorf("cause %v", cause)
		}
	})
}
