package workers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/load"
)

// Workers returns all workers of the cluster as they are known now, those that
// cannot be chosen too, sorted by name.
func (r *Registry) Workers() []WorkerInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.infos(nil, func(*worker) bool { return true })
}

// view returns what [cluster.Node.View] tells of the workers.
func (r *Registry) view() []cluster.WorkerSnapshot {
	infos := r.Workers()
	vs := make([]cluster.WorkerSnapshot, len(infos))
	for i, w := range infos {
		vs[i] = cluster.WorkerSnapshot{Name: w.Name, Boot: w.Boot, Ready: w.Ready, Status: w.Status, Reason: w.Reason}
	}
	return vs
}

// Worker returns the worker of that name as it is known now.
func (r *Registry) Worker(name string) (WorkerInfo, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.named(name)
	if w == nil {
		return WorkerInfo{}, false
	}
	return r.info(w, false), true
}

func (r *Registry) infos(exclude []string, want func(*worker) bool) []WorkerInfo {
	infos := make([]WorkerInfo, 0, len(r.workers))
	for _, w := range r.workers {
		if want(w) {
			infos = append(infos, r.info(w, slices.Contains(exclude, w.member.Name)))
		}
	}
	slices.SortFunc(infos, func(a, b WorkerInfo) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Boot, b.Boot)) })
	return infos
}

// A WorkerInfo is what a registry knows of one worker at one moment.
type WorkerInfo struct {
	// Member is the node: name, boot, address, tags.
	cluster.Member
	// Ready says whether the worker can be chosen; Status why, or why not.
	Ready  bool
	Status string
	// Reason is why its control connection is not there, if it is not: the error of
	// the last try, cut at 512 bytes.
	Reason string
	// InFlight counts the calls on the worker as it last reported, whoever
	// makes them; Queued of them wait.
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
	// capacity): 0 in the balancer's own zone.
	Penalty float64
	// Latency is the mean duration of the unary calls that this process makes
	// on it, sensitive to peaks, which PeakEWMA compares; 0 if there were none.
	Latency time.Duration
	// Phi is the suspicion level of its heartbeats: 8 by default makes it late.
	Phi float64
	// HeartbeatMean and HeartbeatStdDev are the mean interval between its
	// heartbeats and the standard deviation that Phi is computed with, which is
	// at least RegistryConfig.Phi.MinStdDev (20 ms).
	HeartbeatMean, HeartbeatStdDev time.Duration
	// LastHeartbeat is when the last one arrived; time in which this process
	// itself did not run is added. Zero before the first.
	LastHeartbeat time.Time
	// Balancers is how many others, this one included, it reports to.
	Balancers int
}

func (r *Registry) info(w *worker, excluded bool) WorkerInfo {
	now := r.now()
	status := load.StatusOf(now, w.load, excluded)
	i := WorkerInfo{Member: w.member, Ready: status <= load.StatusLate, Status: status.String(), Phi: w.monitor.Phi(now), Reason: w.reason}
	if status == load.StatusCandidate {
		i.Status = "ready"
	}
	rep := w.load.Report()
	i.InFlight, i.Queued, i.Declared, i.Balancers = int(rep.InFlight), int(rep.Queued), int(rep.Capacity), int(rep.Balancers)
	i.MeanService, i.QueueDelay = rep.MeanService, rep.QueueDelay
	i.Own, i.Pending = w.load.Own(), w.load.Pending(now)
	i.Capacity = r.pool.Capacity(w.load)
	i.Penalty = w.load.Penalty
	i.Latency = time.Duration(w.load.Latency.Seconds() * float64(time.Second))
	i.HeartbeatMean, i.HeartbeatStdDev = w.monitor.Mean(), w.monitor.StdDev()
	if w.seen {
		i.LastHeartbeat = r.origin.Add(w.monitor.Beat())
	}
	if w.load.Known() {
		i.ReportAge, i.Estimate = w.load.Age(now), r.pool.Estimate(now, w.load)
	}
	return i
}

// String returns the worker in one line.
func (i WorkerInfo) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s (%d connections, estimate %.1f of %g): %s", i.Name, i.Addr, i.InFlight, i.Estimate, i.Capacity, i.Status)
	if i.Reason != "" {
		fmt.Fprintf(&b, " (%s)", i.Reason)
	}
	return b.String()
}
