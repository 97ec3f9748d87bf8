package routesim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
)

// A longStream is a stream of the simulation of moves. It runs on a worker, or is on its
// way to one:
//
//	begin -> runs -(handed over)-> on its way -(50 to 500 ms)-> runs -> ends
type longStream struct {
	on      *longWorker   // nil while it is on its way
	from    *longWorker   // it must not come back there
	began   time.Duration // on that worker
	arrives time.Duration // at the next worker
	ends    time.Duration // for good
	resumed bool          // another worker had it before
	moves   int           // so far
}

// A longWorker is a worker of that simulation. It has no queue: at these loads no worker
// is full.
type longWorker struct {
	capacity float64
	handover load.Handover
	streams  map[*longStream]bool
}

// used returns the utilisation of a worker.
func (w *longWorker) used() float64 { return float64(len(w.streams)) / w.capacity }

// A rebalancing simulates streams of hours on workers that are not level, and registries
// that move them. The decisions are the production code: load.Rebalancer in the registries,
// load.Handover and load.Movable in the workers. A stream that was handed over takes 50 to
// 500 ms to begin on the emptiest worker of the others. A tick is 100 ms.
//
// Registries see the workers without delay: in production reports are at most 20 to 100 ms
// old, which is little beside the second between two looks. Streams on their way count
// nowhere, as in production until they have been assigned again.
type rebalancing struct {
	rand       *rand.Rand
	now        time.Duration
	workers    []*longWorker
	registries []*load.Rebalancer
	streams    []*longStream // that have not ended
	moves      int           // of all streams so far
	mostMoves  int           // of one stream
}

// newRebalancing returns a simulation with so many registries, which have the defaults of
// workers.RebalanceConfig.
func newRebalancing(seed uint64, registries int) *rebalancing {
	s := &rebalancing{rand: rand.New(rand.NewPCG(seed, 7))}
	for range registries {
		s.registries = append(s.registries, load.NewRebalancer(load.RebalanceRule{Spread: 0.2, After: 10 * time.Second, Rate: load.HandoverRate}))
	}
	return s
}

// add makes n workers, each with so many streams that began long ago and end in hours.
func (s *rebalancing) add(n, capacity, streams int) {
	for range n {
		w := &longWorker{capacity: float64(capacity), streams: map[*longStream]bool{}}
		s.workers = append(s.workers, w)
		for range streams {
			x := &longStream{on: w, began: s.now - time.Hour, ends: s.now + 10*time.Hour}
			w.streams[x] = true
			s.streams = append(s.streams, x)
		}
	}
}

// begin starts a new stream, which no worker had before, on the emptiest worker. It ends
// after the given time, wherever it is then.
func (s *rebalancing) begin(lasts time.Duration) {
	x := &longStream{ends: s.now + lasts}
	s.streams = append(s.streams, x)
	s.start(x, s.emptiest(nil))
}

// start lets a stream run on a worker from now on, and notes when it began there, as
// Worker.serveMovable of package workers does.
func (s *rebalancing) start(x *longStream, w *longWorker) {
	x.on, x.began = w, s.now
	w.streams[x] = true
}

// emptiest returns the emptiest worker but one: the one that has handed the stream over,
// which the production code excludes; nil excludes none.
func (s *rebalancing) emptiest(but *longWorker) (best *longWorker) {
	at := s.rand.IntN(len(s.workers)) // at random among equals
	for i := range s.workers {
		if w := s.workers[(at+i)%len(s.workers)]; w != but && (best == nil || w.used() < best.used()) {
			best = w
		}
	}
	return best
}

// step lets 100 ms pass: streams arrive and end, and then those registries look whose
// second is over.
func (s *rebalancing) step() {
	s.now += 100 * time.Millisecond
	kept := s.streams[:0]
	for _, x := range s.streams {
		if x.on == nil && s.now >= x.arrives {
			w := s.emptiest(x.from)
			s.start(x, w)
		}
		// One that ends while it is on its way never arrives.
		if s.now < x.ends {
			kept = append(kept, x)
		} else if x.on != nil {
			delete(x.on.streams, x)
		}
	}
	s.streams = kept
	for i, r := range s.registries { // each second, not all in the same tick
		if s.now%time.Second == time.Duration(i%10)*100*time.Millisecond {
			s.plan(uint64(i+1), r)
		}
	}
}

// plan lets a registry look and ask. The answer comes at once: in production it takes a
// round trip.
func (s *rebalancing) plan(id uint64, r *load.Rebalancer) {
	ws := make([]load.Filling, 0, len(s.workers))
	for _, w := range s.workers {
		ws = append(ws, load.Filling{Worker: w, Calls: float64(len(w.streams)), Capacity: w.capacity})
	}
	// The fullest comes first. The rebalancer hears of each answer, also of one that is
	// none, so that it leaves the worker alone.
	for _, m := range r.Plan(s.now, ws) {
		w := m.Worker.(*longWorker)
		r.Moved(s.now, w, s.ask(id, w, m.Calls))
	}
}

// ask has a worker hand over up to n streams, and returns how many it has: what
// Worker.handOver of package workers does, on the virtual clock.
func (s *rebalancing) ask(id uint64, w *longWorker, n int) (moved int) {
	n, _ = w.handover.Allow(s.now, id, n, len(w.streams))
	// In no order, where production moves the youngest first: these are all alike.
	for x := range w.streams {
		if moved >= n {
			break
		}
		if !load.Movable(s.now, x.began, x.resumed) {
			continue
		}
		delete(w.streams, x)
		x.on, x.from, x.resumed, x.arrives = nil, w, true, s.now+50*time.Millisecond+time.Duration(s.rand.Int64N(int64(450*time.Millisecond)))
		x.moves++
		moved++
		s.mostMoves = max(s.mostMoves, x.moves)
	}
	w.handover.Spend(moved)
	s.moves += moved
	return moved
}

// spread returns by how much the utilisations of the fullest and the emptiest worker
// differ: 0.1 is a tenth of a capacity.
func (s *rebalancing) spread() float64 {
	low, high := math.Inf(1), 0.0
	for _, w := range s.workers {
		low, high = min(low, w.used()), max(high, w.used())
	}
	return high - low
}

// doubled returns how long after the number of workers was doubled, under streams of hours,
// the utilisations differ by a tenth at most and stay so, what share of the streams has
// moved by then and in ten minutes, and how often one has at most.
//
// It is what moving is for: a service has grown too full, and machines are added. Half of
// the streams would be on these if all were level; with a tenth of difference 45 % are.
func doubled(seed uint64, registries int) (level time.Duration, moved float64, most int) {
	s := newRebalancing(seed, registries)
	s.add(10, 100, 80)
	// It was level for half a minute, so that nothing of the beginning is left.
	for range 300 {
		s.step()
	}
	begin, all := s.now, len(s.streams)
	s.add(10, 100, 0)
	// Long enough to see that moving ends by itself.
	for s.now < begin+10*time.Minute {
		if s.step(); s.spread() > 0.1 {
			level = s.now - begin
		}
	}
	return level, float64(s.moves) / float64(all), s.mostMoves
}

// rebalanceGates are the bounds of moves. Their number of seeds has a lower bound, since
// they are quick.
var rebalanceGates = []Gate{
	// Half of all streams must move, and more would be in vain.
	{"after doubling the workers under streams of hours, utilisations within 10 % in 60 s, none moves twice, at most 55 % move", func(seeds int) (string, bool) {
		text, ok := "", true
		for _, registries := range []int{1, 3} {
			longest, share, most := time.Duration(0), 0.0, 0
			for seed := range uint64(max(seeds, 3)) {
				level, moved, m := doubled(seed, registries)
				longest, share, most = max(longest, level), max(share, moved), max(most, m)
			}
			text += fmt.Sprintf("%d registries: %v, %.0f %% of the streams, each at most %d times; ", registries, longest, 100*share, most)
			ok = ok && longest <= time.Minute && most == 1 && share >= 0.35 && share <= 0.55
		}
		return text, ok
	}},
	// Calls come and go at load 0.8: each move would be in vain. New ones fill the gaps
	// that others leave, so that no difference lasts.
	{"streams of 10 s to an hour that come and go on 20 workers, two hours, 2 registries: 0 moves", func(seeds int) (string, bool) {
		moves := 0
		for seed := range uint64(max(seeds, 2)) {
			s := newRebalancing(seed, 2)
			s.add(20, 50, 0)
			for s.now < 2*time.Hour {
				// Arrivals for 800 streams at a time with lengths of log-uniform
				// distribution: the mean of 10 to 3600 s is (3600-10)/ln(360) s.
				mean := 3590 / math.Log(360)
				if s.rand.Float64() < 800/mean/10 {
					s.begin(time.Duration(10*math.Pow(360, s.rand.Float64())) * time.Second)
				}
				s.step()
			}
			moves += s.moves
		}
		return fmt.Sprintf("%d moves", moves), moves == 0
	}},
	// A balancer that is wrong, or hostile, asks for all. Since all workers hand over to
	// each other, none gets emptier, and each second allows as much as the first.
	{"a balancer that asks for all streams of all workers ten times a second for 10 minutes: at most 95 % of a worker's in a minute, none moves twice", func(int) (string, bool) {
		s := newRebalancing(1, 0)
		s.add(10, 100, 80)
		worst := 0.0
		// Each minute counts for itself. Streams that have moved stay for ten minutes, so
		// that with longer runs a second move would be right.
		for s.now < 10*time.Minute-time.Second {
			left, before := 0, map[*longWorker]int{}
			for _, w := range s.workers {
				before[w] = len(w.streams)
			}
			moved := map[*longWorker]int{}
			for range 600 {
				s.step()
				for _, w := range s.workers {
					moved[w] += s.ask(9, w, 1<<20)
				}
			}
			for _, w := range s.workers {
				if left = before[w]; left >= 20 { // of few it is one at a time
					worst = max(worst, float64(moved[w])/float64(left))
				}
			}
		}
		return fmt.Sprintf("%.0f %% in a minute, each at most %d times", 100*worst, s.mostMoves), s.mostMoves == 1 && worst <= 0.95 && s.moves > 0
	}},
}
