package load_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// TestADeclaredCapacityCountsAtMostEightTimesTheMedian: who declares more does not
// take all calls.
func TestADeclaredCapacityCountsAtMostEightTimesTheMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ declared, counts []float64 }{
		{[]float64{2e9}, []float64{2e9}}, // compared with nobody
		{[]float64{10, 2e9}, []float64{10, 80}},
		{[]float64{10, 20, 2e9}, []float64{10, 20, 160}},
		{[]float64{8, 64}, []float64{8, 64}},
		{[]float64{0, 8, 2e9}, []float64{8, 8, 64}}, // the first declares none
	} {
		p, _ := pool(len(c.declared), balance.LeastConnections)
		for i, w := range p.Workers() {
			p.Apply(0, w, load.Report{Epoch: 1, Seq: 2, Capacity: uint32(c.declared[i])})
		}
		for i, w := range p.Workers() {
			if got := p.Capacity(w); got != c.counts[i] {
				t.Errorf("%v: the one with %v counts with %v, want %v", c.declared, c.declared[i], got, c.counts[i])
			}
		}
	}
}

// TestPendingTicketsOfOneCallerAreBounded, and those of others count all the same.
func TestPendingTicketsOfOneCallerAreBounded(t *testing.T) {
	t.Parallel()
	p, _ := pool(2, balance.LeastConnections)
	a, b := p.Workers()[0], p.Workers()[1]
	for range 5 * load.MaxPending {
		p.Issue(0, a, false, "mallory")
	}
	if n := a.Pending(0); n != load.MaxPending {
		t.Errorf("%d pending of one caller, want %d", n, load.MaxPending)
	}
	if p.Issue(0, b, false, "alice"); b.Pending(0) != 1 {
		t.Error("another caller's does not count")
	}
	p.Remove(a) // whatever it had pending is void
	for range 10 {
		p.Return(b, p.Issue(0, b, false, "mallory"), "mallory")
	}
	last := p.Issue(0, b, false, "mallory")
	if n := b.Pending(0); n != 2 {
		t.Errorf("%d pending after one caller's were returned, want 2", n)
	}
	if p.Return(b, last, "alice"); b.Pending(0) != 2 {
		t.Error("a caller returns the ticket of another")
	}
	for range 1000 {
		p.Return(b, p.Issue(0, b, false, "mallory"), "mallory")
	}
	if n := b.Queued(); n > 100 {
		t.Errorf("a list of %d for 2 pending tickets", n)
	}
	for i := range 5000 {
		p.Return(b, p.Issue(0, b, false, strconv.Itoa(i)), strconv.Itoa(i))
	}
	if n := p.Accounts(); n > 600 {
		t.Errorf("%d accounts of callers without a ticket", n)
	}
}

func TestTicketsDoNotAllocate(t *testing.T) {
	s := load.NewSecret()
	var tag [load.TagSize]byte
	if n := testing.AllocsPerRun(100, func() { tag = s.Sign(7, "spiffe://prod.example/rpcnet/client/a") }); n != 0 {
		t.Errorf("%v allocations to sign", n)
	}
	ticket := load.Ticket{Number: 7, Tag: tag}
	if n := testing.AllocsPerRun(100, func() {
		if !s.Verify(&ticket, "spiffe://prod.example/rpcnet/client/a") {
			t.Fatal("it does not hold")
		}
	}); n != 0 {
		t.Errorf("%v allocations to verify", n)
	}
}

func BenchmarkSign(b *testing.B) {
	s := load.NewSecret()
	b.ReportAllocs()
	for b.Loop() {
		s.Sign(7, "spiffe://prod.example/rpcnet/client/a")
	}
}

func BenchmarkVerify(b *testing.B) {
	s := load.NewSecret()
	t := load.Ticket{Number: 7, Tag: s.Sign(7, "spiffe://prod.example/rpcnet/client/a")}
	b.ReportAllocs()
	for b.Loop() {
		s.Verify(&t, "spiffe://prod.example/rpcnet/client/a")
	}
}

// TestOneWorkersNumbersDoNotChangeWhatIsThoughtOfOthers: it says that it has two
// billion calls, and as many balancers.
func TestOneWorkersNumbersDoNotChangeWhatIsThoughtOfOthers(t *testing.T) {
	t.Parallel()
	const most = 1 << 31
	var sampled bool
	p, g := pool(10, balance.Custom("spy", func() balance.Picker {
		return pickerFunc(func(_ []balance.Candidate, req *balance.PickRequest) balance.Pick {
			sampled = req.Sample
			return balance.Pick{}
		})
	}))
	for _, w := range p.Workers() {
		p.Apply(0, w, load.Report{Epoch: 1, Seq: 2, Capacity: 8, InFlight: 4, MeanService: 10 * ms, Balancers: 1})
	}
	liar, other := p.Workers()[0], p.Workers()[1]
	p.Apply(0, liar, load.Report{Epoch: 1, Seq: 3, Capacity: 8, InFlight: most, Balancers: most})
	if e := p.Estimate(20*ms, other); e < 3 || e > 12 {
		t.Errorf("another worker with 4 calls is thought to have %.1f", e)
	}
	if g.Pick(0, &balance.PickRequest{}); sampled {
		t.Error("one worker says that there are many balancers, and is believed")
	}
}

// A pickerFunc is a picker.
type pickerFunc func([]balance.Candidate, *balance.PickRequest) balance.Pick

func (f pickerFunc) Pick(cs []balance.Candidate, req *balance.PickRequest) balance.Pick {
	return f(cs, req)
}

// TestCallersShareTheFreePlaces: of 100 places, 20 of them taken, one caller can hold half
// of what is free, two a third each, and so on. What is held by number can be given back
// by its own caller only.
func TestCallersShareTheFreePlaces(t *testing.T) {
	t.Parallel()
	p := load.NewPool(1, rand.New(rand.NewPCG(1, 1)))
	w := &load.Candidate{Name: "w"}
	p.Add(0, w)
	p.Apply(0, w, load.Report{Epoch: 1, Seq: 1, Capacity: 100, InFlight: 20})
	held := map[string][]uint64{}
	lease := func(caller string) int {
		n := p.Leasable(caller, 1)
		for range n {
			held[caller] = append(held[caller], p.Issue(0, w, false, caller).Number)
		}
		return n
	}
	if n := lease("a"); n != 40 {
		t.Errorf("a can lease %d of 80 free places, want 40", n)
	}
	if n := lease("a"); n != 0 {
		t.Errorf("a can lease %d more", n)
	}
	for range 20 { // they settle where each has as much as is free
		for caller := range held {
			p.Spend(w, w.Balancer, held[caller], caller)
			held[caller] = nil
			lease(caller)
		}
		lease("b")
	}
	if a, b := len(held["a"]), len(held["b"]); a < 24 || a > 30 || b < 24 || b > 30 {
		t.Errorf("a holds %d and b %d of 80 free places, want about a third each", a, b)
	}
	p.Spend(w, w.Balancer, held["a"], "b")
	p.Spend(w, w.Balancer, held["a"], "nobody")
	p.Spend(w, w.Balancer+1, held["a"], "a") // as of a director that was restarted
	if n := w.Pending(0); n != len(held["a"])+len(held["b"]) {
		t.Errorf("%d tickets pending after another caller gave them back", n)
	}
	p.Spend(w, w.Balancer, held["a"], "a")
	p.Spend(w, w.Balancer, held["a"], "a") // twice does not count twice
	if n := w.Pending(0); n != len(held["b"]) {
		t.Errorf("%d tickets pending, want those of b", n)
	}
	p.Remove(w)
	p.Add(0, w)
	p.Apply(0, w, load.Report{Epoch: 2, Seq: 1, Capacity: 100})
	if n := p.Leasable("c", 1); n != 50 {
		t.Errorf("c can lease %d of 100 free places, want 50: a removed worker's tickets count", n)
	}
	if n := p.Leasable("c", 0.5); n != 25 {
		t.Errorf("c can lease %d of half of the workers, want 25", n)
	}
}
