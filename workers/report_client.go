package workers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/failover"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
	"github.com/rpcnet-go/rpcnet/internal/phi"
)

// errReplaced says that another life of the node answers at its address.
var errReplaced = errors.New("another boot answers at this address")

// watch opens the control stream and reads it until it breaks. up is called at
// the first report.
func (r *Registry) watch(ctx context.Context, w *worker, m cluster.Member, up func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // a new address ends the stream to the old one
		select {
		case <-w.again:
			cancel()
		case <-ctx.Done():
		}
	}()
	dialing, stop := context.WithTimeout(ctx, reportDialTimeout)
	conn, err := r.dial(dialing, m)
	stop()
	if err != nil {
		return err
	}
	defer conn.Close()
	r.mu.Lock()
	w.conn, w.proven = conn, m.Addr
	hello := r.hello(w)
	r.mu.Unlock()
	s, err := conn.NewStream(ctx, reportSpec)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Send(hello.append(nil)); err != nil {
		return err
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	var b []byte
	for first := true; ; {
		if err := s.Recv(&b); err != nil {
			if rpcnet.CodeOf(err) == rpcnet.CodeUnimplemented {
				err = fmt.Errorf("%s carries the tags of a worker but serves no %s: see workers.NewWorker: %w", w.id, reportSpec.Procedure, err)
			}
			return err
		}
		switch {
		case len(b) >= 2 && b[0] == kindHello:
			if boot := string(b[2:]); boot != m.Boot {
				return fmt.Errorf("%w: %q in place of %q", errReplaced, boot, m.Boot)
			}
		case len(b) > 1 && b[0] == kindReport:
			rep, err := load.ParseReport(b[1:])
			if err != nil {
				return err
			}
			r.reported(w, rep)
			if first {
				first = false
				up()
			}
		}
	}
}

// hello says who this balancer is to a worker, and at which pace it wants reports.
// The caller holds mu.
func (r *Registry) hello(w *worker) reportHello {
	return reportHello{balancer: w.load.Balancer, key: [load.SecretSize]byte(w.load.Secret().Key()),
		workers: len(r.workers), heartbeat: min(r.cfg.HealthCheckInterval, maxHeartbeat)}
}

// repace tells all workers when their number has changed so much that reports
// come at another pace. The caller holds mu.
func (r *Registry) repace() {
	now := reportHello{workers: len(r.workers), heartbeat: min(r.cfg.HealthCheckInterval, maxHeartbeat)}
	heartbeat, gap := now.pace()
	was, wasGap := r.paced.pace()
	if heartbeat == was && gap == wasGap {
		return
	}
	r.paced = now
	hellos := map[*rpcnet.Conn]reportHello{}
	for _, w := range r.workers {
		if !w.broken {
			hellos[w.conn] = r.hello(w)
		}
	}
	r.work.Go(func() {
		for conn, hello := range hellos {
			ctx, cancel := context.WithTimeout(r.ctx, time.Second)
			// Who does not hear it keeps its pace until it is dialled again.
			var out []byte
			if err := rpcnet.NewClient(conn, nil).Unary(ctx, paceSpec, hello.append(nil), &out); err != nil {
				r.log.Debug("cannot change the pace of reports", "addr", conn.Addr(), "err", err)
			}
			cancel()
		}
	})
}

// reported takes a report over; it is a heartbeat too.
func (r *Registry) reported(w *worker, rep load.Report) {
	r.mu.Lock()
	now := r.now()
	if r.stall.Late(now) > 0 {
		r.excuse(now) // the first to run after a stall of this process
	}
	if !w.seen {
		w.seen, w.since = true, now
		w.monitor.Reset(now) // it counts from here, not from when the node was seen
	}
	w.vouched, w.reason = 0, ""
	rep.Interval = min(rep.Interval, maxHeartbeat) // its silence says something some time
	w.monitor.SetInterval(rep.Interval)
	was := w.monitor.State()
	state := w.monitor.Heartbeat(now)
	r.pool.Apply(now, w.load, rep)
	fresh := w.broken
	w.broken = false
	r.setPhase(w)
	m := w.member
	r.mu.Unlock()
	if state != phi.StateSuspect && (fresh || was == phi.StateSuspect) {
		r.node.Recover(m.Name, m.Boot)
	}
}

// lost takes a worker out of the pool because its control stream is not there:
// faster than any detector when a process dies.
func (r *Registry) lost(w *worker, err error) {
	r.mu.Lock()
	had := !w.broken
	w.broken, w.reason = true, loglimit.Cut(failover.Reason(err))
	if had {
		r.pool.Lost(w.load)
		w.monitor.Suspect(r.now()) // it comes back by heartbeats, and slowly
	}
	r.setPhase(w)
	leaving, m := w.left, w.member
	r.mu.Unlock()
	if had && !leaving {
		r.lines.Log(slog.LevelInfo, "lost", "worker does not answer", "worker", m.Name, "addr", m.Addr, "err", err)
		r.node.Suspect(m.Name, m.Boot, 0)
	}
}
