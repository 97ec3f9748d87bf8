package workers

import (
	"context"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/phi"
)

const (
	// checkEvery is how often deadlines of heartbeats are compared with the clock
	// when one is near, or when time changes a worker otherwise.
	checkEvery = 20 * time.Millisecond
	// shortestPause is the least time between two looks.
	shortestPause = 5 * time.Millisecond
	// longestPause is how long no deadline is looked at while all are far away. Each look
	// wakes the process: 50 a second cost more than the heartbeats of an idle worker.
	longestPause = 200 * time.Millisecond
	// lookAhead is how long before a deadline the looks come every 20 ms. In that time
	// the heartbeats are read that came while this process did not run.
	lookAhead = 100 * time.Millisecond
	// tellPhiEvery is how often Metrics hears the levels.
	tellPhiEvery = time.Second
)

// A healthCheck moves workers through their phases as their heartbeats fail to come.
// One goroutine of the registry runs it, and short ones ask late workers whether
// they live. The registry's mu guards stall and toldPhi; the rest never changes
// after the start.
type healthCheck struct {
	registry *Registry
	tellPhi  func(worker string, level float64, gone bool) // cluster.Metrics.Phi
	// A late worker is asked over its control connection, and by a packet of gossip;
	// packets is nil for a registry without a node.
	probe   func(context.Context, rpcnet.Transport) error
	packets func(cluster.Member) bool

	stall   *phi.Stall    // of this process
	toldPhi time.Duration // when the levels were last told to Metrics
}

// run checks until the registry ends, as often as checkAll says.
func (h *healthCheck) run() {
	t := time.NewTimer(checkEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			h.registry.late.Tick(time.Now())
			pause := h.checkAll()
			h.registry.late.Until(pause)
			t.Reset(pause)
		case <-h.registry.ctx.Done():
			return
		}
	}
}

// checkAll compares all deadlines with the clock once. It returns how long it is until
// it should do so again. Between workers it releases the lock: see [Registry.each].
func (h *healthCheck) checkAll() (pause time.Duration) {
	type verdict struct {
		name, boot string
		phi        float64
	}
	var suspects []verdict
	r := h.registry
	r.mu.Lock()
	now := r.now()
	h.excuse(now) // before any deadline is compared
	pause = longestPause
	if r.gate.tick(now) { // dials wait for the tokens of the next period
		pause = checkEvery
	}
	r.repace()
	tell := now-h.toldPhi >= tellPhiEvery
	if tell {
		h.toldPhi = now
	}
	r.mu.Unlock()
	r.each(func(w *worker, now time.Duration) {
		if tell && w.seen {
			h.tellPhi(w.member.Name, w.monitor.Phi(now), false)
		}
		// A broken connection is worse than silence. After a long stall of this process
		// heartbeats are still on their way through it.
		if w.broken || h.stall.Holding(now) {
			return
		}
		was := w.monitor.State()
		state := w.monitor.Check(now)
		// A late worker is asked once, at the change. A suspected one is reported to the
		// node, as evidence beside its own probes.
		if state == phi.StateLate && was == phi.StateAlive && w.vouched < maxVouched {
			conn := w.conn
			r.work.Go(func() { h.ping(w, conn) })
		}
		if state == phi.StateSuspect && was != phi.StateSuspect {
			suspects = append(suspects, verdict{name: w.member.Name, boot: w.member.Boot, phi: w.monitor.Phi(now)})
		}
		r.table.setPhase(now, w)
		pause = min(pause, w.pause(now))
	})
	r.mu.Lock()
	now = r.now()
	r.table.noteReady(now)            // time alone may have ended an ejection
	pause = max(pause, shortestPause) // not for each of many deadlines
	h.stall.Until(now + pause)
	r.mu.Unlock()
	for _, v := range suspects { // the node has locks of its own
		r.node.Suspect(v.name, v.boot, v.phi)
	}
	return pause
}

// pause returns how long w need not be looked at: until its deadline is near, and then
// 20 ms, or until it has passed. While time alone changes what it counts for, because it
// comes back or is ejected, that is 20 ms.
func (w *worker) pause(now time.Duration) time.Duration {
	deadline, steady := w.monitor.Deadline()
	if _, ejected := w.load.Ejected(now); ejected || !steady || w.load.Weight < 1 {
		return checkEvery
	}
	left := deadline - now
	if left > lookAhead+checkEvery {
		return left - lookAhead
	}
	return min(left+time.Millisecond, checkEvery)
}

// excuse moves all deadlines by the time in which this process itself did not run:
// it could not hear the heartbeats of that time. The caller holds mu.
func (h *healthCheck) excuse(now time.Duration) {
	late := h.stall.Tick(now)
	if late == 0 {
		return
	}
	for _, w := range h.registry.table.workers {
		w.monitor.Shift(late)
	}
}

// Pings of a worker whose heartbeats are late.
const (
	pings       = 2
	pingTimeout = 100 * time.Millisecond
	// maxVouched is how many lapses in a row pings excuse. Calls take the way of
	// heartbeats, so that a worker that answers pings and sends none for longer
	// is of no use.
	maxVouched = 3
)

// ping asks a late worker directly whether it lives. An answer is a sign of
// life, which ends the lateness. Without an answer the worker is suspected. With the
// default pauses its second deadline has done so a moment before; with a long
// SuspectPause this is how a dead worker is found earlier.
func (h *healthCheck) ping(w *worker, conn *rpcnet.Conn) {
	r := h.registry
	for range pings {
		r.mu.Lock()
		m, late := w.member, h.isLate(w)
		r.mu.Unlock()
		if !late {
			return
		}
		if !h.answers(m, conn) {
			continue
		}
		r.mu.Lock()
		if h.isLate(w) { // still: a heartbeat may have come meanwhile
			now := r.now()
			w.vouched++
			w.monitor.Touch(now)
			r.table.setPhase(now, w)
		}
		r.mu.Unlock()
		return
	}
	r.mu.Lock()
	now := r.now()
	suspect := h.isLate(w) && !h.stall.Holding(now)
	m, level := w.member, w.monitor.Phi(now)
	if suspect {
		w.monitor.Suspect(now)
		r.table.setPhase(now, w)
	}
	r.mu.Unlock()
	if suspect {
		r.node.Suspect(m.Name, m.Boot, level)
	}
}

// isLate reports whether lateness is all that is held against w. The caller
// holds mu.
func (h *healthCheck) isLate(w *worker) bool {
	return !w.broken && !w.left && w.monitor.State() == phi.StateLate && h.registry.ctx.Err() == nil
}

// answers asks a worker once on two ways and reports whether it answers on
// either. Packets of gossip share nothing with the control connection, whose
// heartbeats are late; a registry without a node has none, and a firewall may
// drop them. On the control connection the question is answered where frames are
// read, apart from the handler that sends heartbeats.
func (h *healthCheck) answers(m cluster.Member, conn *rpcnet.Conn) bool {
	ctx, cancel := context.WithTimeout(h.registry.ctx, pingTimeout)
	defer cancel()
	got := make(chan bool, 2)
	h.registry.work.Go(func() { got <- h.probe(ctx, conn) == nil })
	h.registry.work.Go(func() { got <- h.packets != nil && h.packets(m) })
	first := <-got
	return first || <-got
}
