package workers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A WorkerInfo is what a registry knows of one worker at one moment.
type WorkerInfo struct {
	// Member is the node: name, boot, address, tags.
	cluster.Member
	// Ready says whether the worker can be chosen; Status why, or why not.
	Ready  bool
	Status string
	// Reason is why its control connection is not there, if it is not: the error of
	// the last attempt, cut at 512 bytes.
	Reason string
	// Load is what it has to do.
	Load WorkerLoad
	// Heartbeats are what the failure detector has of it.
	Heartbeats WorkerHeartbeats
}

// A WorkerLoad is what a registry knows of one worker's load: its last report, and
// what this process adds to it.
type WorkerLoad struct {
	// InFlight counts the calls of all callers on the worker by its last report; Queued
	// of them wait.
	InFlight, Queued int
	// Own counts the calls of this process, Pending the assignments it has made
	// that have not arrived yet.
	Own, Pending int
	// Estimate is what the strategies compare with Capacity, which is the
	// declared one, at most 8 times the median of all, or that median if it
	// declares none, times the weight of a worker that comes back.
	Estimate, Capacity float64
	// Declared is the capacity the worker declares, 0 if none.
	Declared int
	// MeanService is how long its calls run, QueueDelay how long they wait.
	MeanService, QueueDelay time.Duration
	// ReportAge is the time since its last report.
	ReportAge time.Duration
	// Penalty is what its zone adds to its utilisation (1 is one whole
	// capacity): 0 in the registry's own zone.
	Penalty float64
	// Latency is the mean duration of the unary calls that this process makes
	// on it, sensitive to peaks, which PeakEWMA compares. 0 if there were none.
	Latency time.Duration
	// HandedOver is how many streams this registry has had the worker hand over to
	// emptier ones: see RegistryConfig.Rebalance.
	HandedOver int
	// Balancers is how many registries, this one included, it reports to.
	Balancers int
}

// WorkerHeartbeats are what a registry's failure detector has of one worker.
type WorkerHeartbeats struct {
	// Phi is the suspicion level: 8 by default makes the worker late.
	Phi float64
	// Mean and StdDev are the mean interval between heartbeats and the standard
	// deviation that Phi is computed with, which is at least
	// RegistryConfig.Phi.MinStdDev (20 ms).
	Mean, StdDev time.Duration
	// Last is when the last one arrived; time in which this process itself did not
	// run is added. Zero before the first.
	Last time.Time
}

// Workers returns all workers of the cluster as they are known now, those that
// cannot be chosen too, sorted by name.
func (r *Registry) Workers() []WorkerInfo {
	return r.infos(nil, func(*worker) bool { return true })
}

// Worker returns the worker of that name as it is known now.
func (r *Registry) Worker(name string) (WorkerInfo, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.table.named(name)
	if w == nil {
		return WorkerInfo{}, false
	}
	return r.info(w, false), true
}

// Count returns how many workers can be chosen now.
func (r *Registry) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.table.pool.Ready(r.now())
}

// WaitReady waits until at least n workers can be chosen. The error says how many
// there are if ctx ends before. Its code is Unavailable if the registry ends.
func (r *Registry) WaitReady(ctx context.Context, n int) error {
	for {
		r.mu.Lock()
		have, changed := r.table.pool.Ready(r.now()), r.table.changed.wait()
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

// view returns what [cluster.Node.Snapshot] tells of the workers.
func (r *Registry) view() []cluster.WorkerSnapshot {
	infos := r.Workers()
	vs := make([]cluster.WorkerSnapshot, len(infos))
	for i, w := range infos {
		vs[i] = cluster.WorkerSnapshot{
			Name: w.Name, Boot: w.Boot, Ready: w.Ready, Status: w.Status, Reason: w.Reason,
			InFlight: w.Load.InFlight, Queued: w.Load.Queued, Capacity: w.Load.Declared, Pending: w.Load.Pending,
			MeanService: w.Load.MeanService, ReportAge: w.Load.ReportAge, Phi: finite(w.Heartbeats.Phi),
		}
	}
	return vs
}

// finite returns a suspicion level that JSON has a number for: after long silence it is
// infinite.
func finite(phi float64) float64 {
	const most = 1e6
	if phi < most {
		return phi
	}
	return most // also of NaN
}

// infos returns what is known of the workers that are wanted, sorted by name. Each is
// as it was at one moment.
func (r *Registry) infos(exclude []string, want func(*worker) bool) []WorkerInfo {
	var infos []WorkerInfo
	r.each(func(w *worker, _ time.Duration) {
		if want(w) {
			infos = append(infos, r.info(w, slices.Contains(exclude, w.member.Name)))
		}
	})
	slices.SortFunc(infos, func(a, b WorkerInfo) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Boot, b.Boot)) })
	return infos
}

// info returns what is known of w. excluded says that the caller does not want it.
// The caller holds mu.
func (r *Registry) info(w *worker, excluded bool) WorkerInfo {
	now := r.now() // one instant for all numbers
	status := load.StatusOf(now, w.load, excluded)
	rep := w.load.Report()
	i := WorkerInfo{
		Member: w.member, Ready: status.Ready(), Status: status.String(), Reason: w.reason,
		Load: WorkerLoad{
			InFlight: int(rep.InFlight), Queued: int(rep.Queued), Declared: int(rep.Capacity), Balancers: int(rep.Balancers),
			MeanService: rep.MeanService, QueueDelay: rep.QueueDelay,
			Own: w.load.Own(), Pending: w.load.Pending(now),
			Capacity: r.table.pool.Capacity(w.load), Penalty: w.load.Penalty,
			Latency: time.Duration(w.load.Latency.Seconds() * float64(time.Second)),
		},
		Heartbeats: WorkerHeartbeats{Phi: w.monitor.Phi(now), Mean: w.monitor.Mean(), StdDev: w.monitor.StdDev()},
	}
	if status == load.StatusCandidate {
		i.Status = "ready"
	}
	if r.rebalancer != nil {
		i.Load.HandedOver = r.rebalancer.moved[w]
	}
	if w.seen {
		i.Heartbeats.Last = r.origin.Add(w.monitor.Beat())
	}
	if w.load.Known() { // otherwise the last report says nothing of the present
		i.Load.ReportAge, i.Load.Estimate = w.load.Age(now), r.table.pool.Estimate(now, w.load)
	}
	return i
}

// String returns the worker in one line.
func (i WorkerInfo) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s (%d connections, estimate %.1f of %g): %s", i.Name, i.Addr, i.Load.InFlight, i.Load.Estimate, i.Load.Capacity, i.Status)
	if i.Reason != "" {
		fmt.Fprintf(&b, " (%s)", i.Reason)
	}
	return b.String()
}

// An Explanation is what a choice would see and why.
type Explanation struct {
	// Strategy is the strategy's name.
	Strategy string
	// Workers are those that match the selector, with their status for this request
	// and the numbers compared, sorted by name.
	Workers []WorkerInfo
}

// Explain returns what [Registry.Assign] would choose from, without
// choosing.
func (r *Registry) Explain(req balance.PickRequest) (Explanation, error) {
	r.mu.Lock()
	g, err := r.table.group(req.Selector, req.Caller)
	r.mu.Unlock()
	if err != nil {
		return Explanation{}, err
	}
	return Explanation{
		Strategy: r.cfg.Strategy.String(),
		Workers:  r.infos(req.Exclude, func(w *worker) bool { return g.selector.Matches(w.member.Tags) }),
	}, nil
}

// String returns the explanation as a table.
func (e Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "strategy %s\n", e.Strategy)
	for _, w := range e.Workers {
		l := &w.Load
		// The score of LeastConnections, which most strategies compare in some form.
		score := l.Penalty
		if l.Capacity > 0 {
			score += (l.Estimate + 1) / l.Capacity
		}
		fmt.Fprintf(&b, "  %-20s utilisation %.3f = (%.1f+1)/%g", w.Name, score, l.Estimate, l.Capacity)
		if l.Penalty > 0 {
			fmt.Fprintf(&b, "+%g for its zone", l.Penalty)
		}
		fmt.Fprintf(&b, "  reported %d (%d queued), own %d, pending %d, report %v old, latency %v, phi %.1f: %s\n",
			l.InFlight, l.Queued, l.Own, l.Pending, l.ReportAge.Round(time.Millisecond), l.Latency.Round(10*time.Microsecond), w.Heartbeats.Phi, w.Status)
		if w.Reason != "" {
			fmt.Fprintf(&b, "  %-20s its control connection: %s\n", "", w.Reason)
		}
	}
	return b.String()
}
