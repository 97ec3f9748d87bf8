package workers

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// An Assignment is a worker given to a caller.
type Assignment struct {
	// Worker is the worker chosen.
	Worker cluster.Member
	// Cluster is the name of the cluster that the workers are nodes of, "" if there
	// is none.
	Cluster string
	// Ticket goes with the caller's call to the worker ([rpcnet.CallOptions].Ticket), so
	// that the assignment counts until the worker has it and never twice. One
	// that nobody brings counts for 5 s.
	Ticket []byte
	// Reason is why this worker was chosen, Score what was compared.
	Reason string
	Score  float64
	// Full says that all candidates have as many calls as they want to run.
	Full bool
	// Alternates are other workers, the least loaded first.
	Alternates []cluster.Member
}

// Assign chooses a worker for a caller that will call it directly, and counts the
// assignment. The error is [ErrNoWorker] if there is none, or says what is wrong
// with the selector.
func (r *Registry) Assign(req balance.PickRequest) (Assignment, error) {
	if !r.node.Assigns() {
		return Assignment{}, errMinority
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	g, err := r.group(req.Selector, req.Caller)
	if err != nil {
		return Assignment{}, err
	}
	now := r.now()
	w, pick, full := g.load.Pick(now, &req)
	if w == nil {
		return Assignment{}, r.none(g, &req)
	}
	a := Assignment{Cluster: r.cluster, Worker: w.Owner.(*worker).member, Reason: pick.Reason, Score: pick.Score, Full: full,
		Ticket: r.pool.Issue(now, w, full || req.WaitInQueue, req.Caller).Append(nil)}
	for _, other := range g.load.Alternates(now, &req, w) {
		a.Alternates = append(a.Alternates, other.Owner.(*worker).member)
	}
	return a, nil
}

// Return takes an assignment back that its caller, the one of its request, will
// not use. A ticket that was made for another is left alone.
func (r *Registry) Return(worker string, ticket []byte, caller string) {
	t, err := load.ParseTicket(ticket)
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.named(worker); w != nil && err == nil {
		r.pool.Return(w.load, t, caller)
	}
}

// ReportFailure says that a life of a worker has just failed a caller whose
// calls this process does not see. caller is the identity that its certificate
// proves, never what it says of itself. One caller may have a bad network, or
// lie; when two agree within 10 s, the worker is ejected for a while. While it is
// on trial the one who was given the trial call is enough, once. The failure
// counts as one of now: a caller should not report what happened longer than 10 s
// ago.
func (r *Registry) ReportFailure(worker, boot, caller string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.named(worker)
	if w == nil || w.member.Boot != boot {
		return
	}
	now := r.now()
	if w.load.Health.Complaint(now, caller) {
		until, _ := w.load.Health.Ejected(now)
		r.lines.Log(slog.LevelWarn, "complaints", "callers agree that a worker fails: ejected", "worker", worker, "for", until-now)
	}
	r.noteReady(w)
}

// named returns the worker of that name. The caller holds mu.
func (r *Registry) named(name string) *worker {
	if w := r.pool.Named(name); w != nil {
		return w.Owner.(*worker)
	}
	return nil
}

var errMinority = rpcnet.NewError(rpcnet.CodeUnavailable, "workers: this node is on the smaller side of a partition and assigns no work").WithUnprocessed()

// none explains why nobody can be chosen. The caller holds mu.
func (r *Registry) none(g *group, req *balance.PickRequest) error {
	selector := req.Selector
	if selector == "" {
		selector = r.selector.String()
	}
	msg := fmt.Sprintf("no worker matches %q among %d", selector, len(r.workers))
	if n := len(g.load.Members()); n > 0 {
		counts := map[load.Status]int{}
		for _, w := range g.load.Members() {
			counts[load.StatusOf(r.now(), w, slices.Contains(req.Exclude, w.Name))]++
		}
		var why []string
		for s := load.StatusCandidate; s <= load.StatusUnreachable; s++ {
			if counts[s] > 0 {
				why = append(why, fmt.Sprintf("%d %s", counts[s], s))
			}
		}
		if w := unreachable(g.load.Members()); w != nil {
			why = append(why, fmt.Sprintf("of these %s: %s", w.member.Name, w.reason))
		}
		msg = fmt.Sprintf("none of %d workers that match %q can be chosen: %s", n, selector, strings.Join(why, ", "))
	}
	return rpcnet.NewError(rpcnet.CodeUnavailable, msg).WithCause(ErrNoWorker).WithUnprocessed()
}

// unreachable returns the first of ws of which the reason is known why it cannot be
// reached, nil if there is none.
func unreachable(ws []*load.Candidate) *worker {
	for _, w := range ws {
		if e := w.Owner.(*worker); w.Phase == load.PhaseGone && e.reason != "" {
			return e
		}
	}
	return nil
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
	defer r.mu.Unlock()
	g, err := r.group(req.Selector, req.Caller)
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
		score := w.Penalty
		if w.Capacity > 0 {
			score += (w.Estimate + 1) / w.Capacity
		}
		fmt.Fprintf(&b, "  %-20s utilisation %.3f = (%.1f+1)/%g", w.Name, score, w.Estimate, w.Capacity)
		if w.Penalty > 0 {
			fmt.Fprintf(&b, "+%g for its zone", w.Penalty)
		}
		fmt.Fprintf(&b, "  reported %d (%d queued), own %d, pending %d, report %v old, latency %v, phi %.1f: %s\n",
			w.InFlight, w.Queued, w.Own, w.Pending, w.ReportAge.Round(time.Millisecond), w.Latency.Round(10*time.Microsecond), w.Phi, w.Status)
		if w.Reason != "" {
			fmt.Fprintf(&b, "  %-20s its control connection: %s\n", "", w.Reason)
		}
	}
	return b.String()
}
