package workers

import (
	"context"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/phi"
)

const (
	// checkEvery is how often deadlines of heartbeats are compared with the
	// clock.
	checkEvery = 20 * time.Millisecond
	// tellPhiEvery is how often Metrics hears the levels.
	tellPhiEvery = time.Second
)

// check moves workers through their phases as their heartbeats fail to come.
func (r *Registry) check() {
	t := time.NewTicker(checkEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			r.gate.tick()
			r.checkAll()
		case <-r.ctx.Done():
			return
		}
	}
}

// checkAll compares all deadlines with the clock once.
func (r *Registry) checkAll() {
	type verdict struct {
		name, boot string
		phi        float64
	}
	var told []verdict
	r.mu.Lock()
	now := r.now()
	r.excuse(now)
	r.repace()
	tell := now-r.toldPhi >= tellPhiEvery
	if tell {
		r.toldPhi = now
	}
	for _, w := range r.workers {
		if tell && w.seen {
			r.tellPhi(w.member.Name, w.monitor.Phi(now), false)
		}
		if w.broken || r.stall.Holding(now) {
			continue
		}
		was := w.monitor.State()
		state := w.monitor.Check(now)
		if state == phi.StateLate && was == phi.StateAlive && w.vouched < maxVouched {
			conn := w.conn
			r.work.Go(func() { r.ping(w, conn) })
		}
		if state == phi.StateSuspect && was != phi.StateSuspect {
			told = append(told, verdict{name: w.member.Name, boot: w.member.Boot, phi: w.monitor.Phi(now)})
		}
		r.setPhase(w)
	}
	r.mu.Unlock()
	for _, v := range told {
		r.node.Suspect(v.name, v.boot, v.phi)
	}
}

// excuse moves all deadlines by what this process itself did not run: nobody is
// late whom it could not hear. The caller holds mu.
func (r *Registry) excuse(now time.Duration) {
	late := r.stall.Tick(now)
	if late == 0 {
		return
	}
	for _, w := range r.workers {
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
// life, which ends the lateness. That none comes makes it suspect, which with
// the default pauses its second deadline has done a moment before: it is for
// those who have set a long SuspectPause.
func (r *Registry) ping(w *worker, conn *rpcnet.Conn) {
	for range pings {
		r.mu.Lock()
		m, late := w.member, r.isLate(w)
		r.mu.Unlock()
		if !late {
			return
		}
		if !r.answers(m, conn) {
			continue
		}
		r.mu.Lock()
		if r.isLate(w) {
			w.vouched++
			w.monitor.Touch(r.now())
			r.setPhase(w)
		}
		r.mu.Unlock()
		return
	}
	r.mu.Lock()
	now := r.now()
	suspect := r.isLate(w) && !r.stall.Holding(now)
	m, level := w.member, w.monitor.Phi(now)
	if suspect {
		w.monitor.Suspect(now)
		r.setPhase(w)
	}
	r.mu.Unlock()
	if suspect {
		r.node.Suspect(m.Name, m.Boot, level)
	}
}

// isLate reports whether lateness is all that is held against w. The caller
// holds mu.
func (r *Registry) isLate(w *worker) bool {
	return !w.broken && !w.left && w.monitor.State() == phi.StateLate && r.ctx.Err() == nil
}

// answers asks a worker once on two ways and reports whether it answers on
// either. Packets of gossip share nothing with the control connection, whose
// heartbeats are late; a registry without a node has none, and a firewall may
// drop them. On the control connection the question is answered where frames are
// read, apart from the handler that sends heartbeats.
func (r *Registry) answers(m cluster.Member, conn *rpcnet.Conn) bool {
	ctx, cancel := context.WithTimeout(r.ctx, pingTimeout)
	defer cancel()
	got := make(chan bool, 2)
	r.work.Go(func() { got <- r.probe(ctx, conn) == nil })
	r.work.Go(func() { got <- r.packets != nil && r.packets(m) })
	first := <-got
	return first || <-got
}
