package workers

import (
	"context"
	"fmt"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/internal/phi"
)

// setPhase derives a worker's phase and weight from all that is known. The caller
// holds mu.
func (r *Registry) setPhase(w *worker) {
	phase := load.PhaseAlive
	switch {
	case w.left || w.broken:
		phase = load.PhaseGone
	case w.monitor.State() == phi.StateSuspect:
		phase = load.PhaseSuspected
	case w.monitor.State() == phi.StateLate:
		phase = load.PhaseLate
	}
	w.load.Phase = phase
	w.load.Weight = r.weight(w, r.now())
	r.noteReady(w)
}

// weight returns the share of its capacity that w counts with: less while it
// recovers, and while it is new if the registry is told so.
func (r *Registry) weight(w *worker, now time.Duration) float64 {
	weight := w.monitor.Weight(now)
	if r.cfg.SlowStart > 0 {
		weight *= load.SlowStart(now-w.since, r.cfg.SlowStart, 1)
	}
	return weight
}

// noteReady looks whether w could be chosen, and wakes those who wait if that is
// new. Time alone changes it too, as when an ejection ends: check looks at every
// worker every 20 ms. The caller holds mu.
func (r *Registry) noteReady(w *worker) {
	if ready := r.ready(w); ready != w.ready {
		w.ready = ready
		r.signal()
	}
}

// signal wakes those who wait for a change of the ready workers. The caller
// holds mu.
func (r *Registry) signal() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// ready reports whether w could be chosen by anybody. The caller holds mu.
func (r *Registry) ready(w *worker) bool {
	return load.StatusOf(r.now(), w.load, false) <= load.StatusLate
}

// Count returns how many workers can be chosen now.
func (r *Registry) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count()
}

func (r *Registry) count() int {
	n := 0
	for _, w := range r.workers {
		if r.ready(w) {
			n++
		}
	}
	return n
}

// WaitReady waits until at least n workers can be chosen.
func (r *Registry) WaitReady(ctx context.Context, n int) error {
	for {
		r.mu.Lock()
		have, changed := r.count(), r.changed
		r.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("workers: %d of %d workers are ready: %w", have, n, ctx.Err())
		case <-r.ctx.Done():
			return rpcnet.NewError(rpcnet.CodeUnavailable, "workers: the node has stopped, or the registry is closed")
		}
	}
}
