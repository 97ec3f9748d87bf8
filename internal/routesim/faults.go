package routesim

import (
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
)

// fault breaks something at random and plans the next fault. What can break is a worker, a
// stream of reports, a balancer and a caller. There is none in the
// last quarter of the run, so that the estimates can become exact again.
func (s *sim) fault() {
	// Drawn from a source of their own, so that all balancers see the same faults.
	i, k := s.faults.IntN(len(s.workers)), s.faults.IntN(len(s.balancers))
	w := s.workers[i]
	// Each kind leaves a balancer with a wrong picture, which must mend itself: calls
	// that are gone, claims that were lost, tickets of an unknown issuer, and calls that
	// ended without an answer.
	switch s.faults.IntN(4) {
	case 0: // the worker crashes and starts again at once as a new process
		s.crash(i)
		s.begin(i)
	case 1: // the stream of reports breaks, and a report on the way is lost
		w.ledger.Unsubscribe(uint64(k + 1))
		s.balancers[k].Report(s.now, i, load.Report{}, true)
		s.connect(i, k)
	case 2: // the balancer restarts and has forgotten everything, its tickets included
		s.balancers[k] = s.cfg.New(s.env, k)
		for i, w := range s.workers {
			if w.up {
				s.balancers[k].Up(s.now, i)
				w.ledger.Unsubscribe(uint64(k + 1))
				s.connect(i, k)
			}
		}
	case 3: // the caller of the oldest call cancels it while it runs or waits
		var oldest *load.Entry
		for e, r := range w.running {
			if oldest == nil || r.arrived < oldest.Owner().(*Request).arrived {
				oldest = e
			}
		}
		if oldest != nil {
			s.end(i, oldest, Died)
		}
	}
	// About 100 faults in the middle half.
	if s.now < s.length()*3/4 {
		s.push(event{at: s.now + time.Duration(s.faults.ExpFloat64()*float64(s.length())/200), kind: fault})
	}
}

// crash ends a life of a worker and fails all calls on it, the oldest first. Their callers
// ask again, and exclude the worker, as if the connection had broken.
func (s *sim) crash(i int) {
	w := s.workers[i]
	running := w.running
	w.up, w.running = false, nil
	w.life++ // voids the planned ends of its calls
	for _, c := range s.balancers {
		c.Down(s.now, i)
	}
	reqs := make([]*Request, 0, len(running))
	for _, r := range running {
		reqs = append(reqs, r)
	}
	// In a fixed order, since that of a map would make runs differ.
	slices.SortFunc(reqs, func(a, b *Request) int { return int(a.arrived - b.arrived) })
	for _, r := range reqs {
		s.retry(i, r, Failed)
	}
}
