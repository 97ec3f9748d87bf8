package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/examples/cluster/contract"
)

// The failure cycle, 18 s in all.
const (
	runFor  = 10 * time.Second
	warnFor = 3 * time.Second
	failFor = 5 * time.Second
)

// A state says whether the worker works. It is safe for concurrent use.
type state struct {
	mu     sync.Mutex
	failed chan struct{} // closed while the worker has failed
}

func newState() *state { return &state{failed: make(chan struct{})} }

// failure returns a channel that is closed when the worker fails, already so if
// it has failed.
func (s *state) failure() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *state) fail() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.failed)
}

func (s *state) recover() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = make(chan struct{})
}

// failing returns the life of a worker that fails again and again: its streams
// end and new calls are refused with the error WorkerFailed, and its node falls
// silent, as after a crash.
func (w *worker) failing(offset time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		for offset := offset; wait(ctx, offset+runFor); offset = 0 {
			w.log.Warn(fmt.Sprintf("⚠️  [%s] Simulating worker failure in 3 seconds...", w.label))
			if !wait(ctx, warnFor) {
				return nil
			}
			w.log.Error(fmt.Sprintf("💥 [%s] Worker failed!", w.label))
			w.state.fail()
			w.node.Close()
			if !wait(ctx, failFor) {
				return nil
			}
			w.log.Info(fmt.Sprintf("🔄 [%s] Worker recovering...", w.label))
			w.state.recover()
			if err := w.join(ctx); err != nil {
				return err
			}
			w.log.Info(fmt.Sprintf("✅ [%s] Worker recovered and ready to serve!", w.label))
		}
		return nil
	}
}

// wait reports whether d passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// refuseWhenFailed is in front of every call.
func (w *worker) refuseWhenFailed(next rpcnet.ServerFunc) rpcnet.ServerFunc {
	return func(ctx context.Context, spec *rpcnet.Spec, s rpcnet.ServerStream) error {
		select {
		case <-w.state.failure():
			return rpcnet.Errorf(rpcnet.CodeUnavailable, "%s has failed", w.label).WithDetail(w.failure()).WithUnprocessed()
		default:
			return next(ctx, spec, s)
		}
	}
}

// failure is the error that clients see.
func (w *worker) failure() *contract.WorkerFailed {
	return &contract.WorkerFailed{Worker: w.label, Reason: "simulated"}
}
