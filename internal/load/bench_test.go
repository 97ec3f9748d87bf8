package load_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A busyPool is a pool whose workers have different capacities and some load.
type busyPool struct {
	*load.Pool
	group *load.Group
	now   time.Duration
}

// newBusyPool returns one of n workers with a group of all.
func newBusyPool(n int, s balance.Strategy) *busyPool {
	r := rand.New(rand.NewPCG(3, 4))
	b := &busyPool{Pool: load.NewPool(1, r), now: second}
	b.group = b.NewGroup(s)
	for i := range n {
		w := &load.Candidate{Name: "worker-" + strconv.Itoa(i)}
		b.Add(b.now, w)
		b.group.Insert(w)
		capacity := []uint32{4, 16, 8, 12}[i%4]
		b.Apply(b.now, w, load.Report{Epoch: 1, Seq: 1, Capacity: capacity, InFlight: r.Uint32N(capacity), Interval: 50 * ms,
			MeanService: 2 * second, Balancers: 2})
		for range 20 { // so that its list of tickets has its size
			w.Drop(b.Issue(b.now, w, false, "caller").Number)
		}
		w.Latency.Observe(b.now, time.Duration(1+r.IntN(20))*ms, false)
	}
	return b
}

// pick picks, makes a ticket, and lets it be claimed.
func (b *busyPool) pick(req *balance.PickRequest) {
	w, _, full := b.group.Pick(b.now, req)
	t := b.Issue(b.now, w, full, "caller")
	w.Drop(t.Number)
}

// sizes are the numbers of workers that the benchmarks compare.
var sizes = []int{10, 100, 1000, 10000}

// strategies returns all.
func strategies() (all []balance.Strategy) {
	for _, name := range balance.Names() {
		s, err := balance.Parse(name)
		if err != nil {
			panic(err) // Names are what Parse knows
		}
		all = append(all, s)
	}
	return all
}

// BenchmarkPick measures a pick with its ticket, which should cost the same among any
// number of workers.
func BenchmarkPick(b *testing.B) {
	for _, s := range strategies() {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%v/%d", s, n), func(b *testing.B) {
				p := newBusyPool(n, s)
				req := balance.PickRequest{LastWorker: "worker-5"}
				keys := make([]string, 1024)
				for i := range keys {
					keys[i] = "session-" + strconv.Itoa(i)
				}
				p.pick(&req)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					req.AffinityKey = keys[i%len(keys)]
					p.pick(&req)
				}
			})
		}
	}
}

// TestPicksAmongManyDoNotAllocate, whatever the strategy and whoever is excluded.
func TestPicksAmongManyDoNotAllocate(t *testing.T) {
	for _, s := range strategies() {
		for _, n := range sizes[:3] {
			p := newBusyPool(n, s)
			req := balance.PickRequest{LastWorker: "worker-5", AffinityKey: "session-9", Exclude: []string{"worker-1", "worker-2"}}
			for range 10 { // scratch space grows to its size
				p.pick(&req)
			}
			if allocs := testing.AllocsPerRun(200, func() { p.pick(&req) }); allocs != 0 {
				t.Errorf("%v among %d: %v allocations a pick", s, n, allocs)
			}
		}
	}
}

// A countingSet counts how many candidates a strategy looks at.
type countingSet struct {
	balance.Set
	looked int
}

// At counts.
func (s *countingSet) At(i int) balance.Candidate {
	s.looked++
	return s.Set.At(i)
}

// TestPicksLookAtAFewHoweverManyThereAre holds what makes a pick among ten thousand cost
// what one among a hundred does.
func TestPicksLookAtAFewHoweverManyThereAre(t *testing.T) {
	t.Parallel()
	for _, s := range strategies() {
		set := &countingSet{}
		p := newBusyPool(3000, balance.Custom("counted", func() balance.Picker { return countingPicker{s.New(), set} }))
		req := balance.PickRequest{LastWorker: "worker-5"}
		const picks = 1000
		for i := range picks {
			req.AffinityKey = strconv.Itoa(i)
			p.pick(&req)
		}
		if set.Set == nil || set.looked > 32*picks {
			t.Errorf("%v looked at %d candidates in %d picks, want up to 32 a pick", s, set.looked, picks)
		}
	}
}

// A countingPicker is a picker whose looks at a set are counted.
type countingPicker struct {
	balance.Picker
	set *countingSet
}

// PickFrom is that of the picker.
func (p countingPicker) PickFrom(set balance.Set, req *balance.PickRequest) balance.Pick {
	p.set.Set = set
	return p.Picker.(interface {
		PickFrom(balance.Set, *balance.PickRequest) balance.Pick
	}).PickFrom(p.set, req)
}
