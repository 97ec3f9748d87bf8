package balance_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// pool returns n idle candidates of the given capacities, repeated.
func pool(n int, capacities ...float64) []balance.Candidate {
	cs := make([]balance.Candidate, n)
	for i := range cs {
		cs[i] = balance.Candidate{ID: balance.ID(fmt.Sprint("worker-", i)), Capacity: capacities[i%len(capacities)]}
	}
	slices.SortFunc(cs, func(a, b balance.Candidate) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return cs
}

// name returns the name of a candidate of pool.
func name(c balance.Candidate) string {
	for i := range 1000 {
		if name := fmt.Sprint("worker-", i); balance.ID(name) == c.ID {
			return name
		}
	}
	panic("not a candidate of pool")
}

func request() *balance.PickRequest {
	return &balance.PickRequest{Rand: rand.New(rand.NewPCG(1, 2))}
}

// shares picks n times, without telling the candidates, and returns how often
// each was chosen.
func shares(s balance.Strategy, cs []balance.Candidate, req *balance.PickRequest, n int) []float64 {
	p := s.New()
	got := make([]float64, len(cs))
	for range n {
		got[p.Pick(cs, req).Index]++
	}
	for i := range got {
		got[i] /= float64(n)
	}
	return got
}

func all() []balance.Strategy {
	var ss []balance.Strategy
	for _, n := range balance.Names() {
		s, err := balance.Parse(n)
		if err != nil {
			panic(err)
		}
		ss = append(ss, s)
	}
	return ss
}

func TestParseKnowsEveryNameInAnyCase(t *testing.T) {
	t.Parallel()
	for _, n := range balance.Names() {
		for _, spelt := range []string{n, strings.ToLower(n), strings.ToUpper(n)} {
			if s, err := balance.Parse(spelt); err != nil || s.String() != n {
				t.Errorf("Parse(%q) = %v, %v", spelt, s, err)
			}
		}
	}
	if s, err := balance.Parse("LeastLoaded"); err != nil || s.String() != "LeastConnections" {
		t.Errorf("LeastLoaded is %v, %v, want the alias of LeastConnections", s, err)
	}
}

func TestParseOfAnUnknownNameListsThoseThatExist(t *testing.T) {
	t.Parallel()
	_, err := balance.Parse("MostConnections")
	if err == nil {
		t.Fatal("no error")
	}
	for _, n := range append(balance.Names(), "MostConnections") {
		if !strings.Contains(err.Error(), n) {
			t.Errorf("%q does not name %s", err, n)
		}
	}
}

func TestStrategyIsConfigurableAsText(t *testing.T) {
	t.Parallel()
	var s balance.Strategy
	if s.String() != "LeastConnections" {
		t.Errorf("the zero value is %v", s)
	}
	if err := s.UnmarshalText([]byte("random")); err != nil || s.String() != "Random" {
		t.Errorf("got %v, %v", s, err)
	}
	if err := s.UnmarshalText([]byte("x")); err == nil || s.String() != "Random" {
		t.Errorf("a wrong name changed the strategy to %v, %v", s, err)
	}
	if text, err := s.MarshalText(); string(text) != "Random" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
	if got := (balance.Strategy{}).New().Pick(pool(1, 1), request()); got.Index != 0 {
		t.Errorf("the zero value picks %v", got)
	}
}

func TestEveryStrategyCopesWithNoneAndOne(t *testing.T) {
	t.Parallel()
	for _, s := range all() {
		p := s.New()
		req := request()
		req.AffinityKey, req.LastWorker = "k", "worker-7"
		if c := p.Pick(nil, req); c.Index != -1 || c.Reason != "no candidate" {
			t.Errorf("%v: none: %+v", s, c)
		}
		if c := p.Pick(pool(1, 4), req); c.Index != 0 {
			t.Errorf("%v: one: %+v", s, c)
		}
	}
}

func TestEveryChoiceSaysWhy(t *testing.T) {
	t.Parallel()
	for _, s := range all() {
		c := s.New().Pick(pool(6, 4, 8), &balance.PickRequest{Rand: rand.New(rand.NewPCG(1, 1)), AffinityKey: "k", Sample: true})
		if c.Reason == "no candidate" || c.Reason == "" {
			t.Errorf("%v: %+v", s, c)
		}
	}
}

func TestLeastConnectionsComparesUtilisationNotCounts(t *testing.T) {
	t.Parallel()
	cs := pool(2, 4, 16)
	small, big := 0, 1
	if cs[0].Capacity == 16 {
		small, big = 1, 0
	}
	cs[small].Load, cs[big].Load = 2, 9 // 3/4 against 10/16
	if c := balance.LeastConnections.New().Pick(cs, request()); c.Index != big || c.Reason != "least loaded" || c.Score != 10.0/16 {
		t.Errorf("got %+v", c)
	}
}

func TestLeastConnectionsDrawsAmongEquals(t *testing.T) {
	t.Parallel()
	for i, share := range shares(balance.LeastConnections, pool(5, 8), request(), 20000) {
		if math.Abs(share-0.2) > 0.02 {
			t.Errorf("candidate %d takes %.3f of the ties, want 0.2", i, share)
		}
	}
}

func TestManyBalancersTakeTheBestOfFourDistinctDraws(t *testing.T) {
	t.Parallel()
	cs := pool(20, 8)
	for i := range cs {
		cs[i].Load = float64(i)
	}
	req := request()
	req.Sample = true
	got := shares(balance.LeastConnections, cs, req, 40000)
	// Of 4 distinct draws out of 20 the lowest is i with C(19-i,3)/C(20,4).
	for i, want := range []float64{0.2, 0.1684, 0.1404} {
		if math.Abs(got[i]-want) > 0.01 {
			t.Errorf("candidate %d: %.4f, want %.4f", i, got[i], want)
		}
	}
	if got[17]+got[18]+got[19] != 0 {
		t.Error("one of the three fullest was chosen: the draws were not distinct")
	}
}

func TestPenaltyKeepsCallsInTheZoneUntilItIsAQuarterFuller(t *testing.T) {
	t.Parallel()
	cs := pool(2, 16)
	cs[1].Penalty = 0.25
	p := balance.LeastConnections.New()
	for load, want := range map[float64]int{0: 0, 3: 0, 5: 1} {
		cs[0].Load = load
		if c := p.Pick(cs, request()); c.Index != want {
			t.Errorf("local load %v of 16: picked %d, want %d", load, c.Index, want)
		}
	}
}

func TestRoundRobinGivesEachOneTurnWhateverJoinsOrLeaves(t *testing.T) {
	t.Parallel()
	cs := pool(8, 1)
	p := balance.RoundRobin.New()
	req := request()
	turns := map[uint64]int{}
	for range 3 * 7 {
		without := cs[:7]
		turns[without[p.Pick(without, req).Index].ID]++
	}
	for _, c := range cs[:7] {
		if turns[c.ID] != 3 {
			t.Errorf("%d turns, want 3", turns[c.ID])
		}
	}
	// A worker leaves and another joins in mid-rotation: still nobody twice.
	seen := map[uint64]bool{}
	mixed := append(slices.Clone(cs[:3]), cs[4:]...)
	for range len(mixed) {
		c := mixed[p.Pick(mixed, req).Index]
		if seen[c.ID] {
			t.Fatal("second turn within one rotation")
		}
		seen[c.ID] = true
	}
}

func TestRandomIsUniformAndWeightedRandomFollowsCapacity(t *testing.T) {
	t.Parallel()
	cs := pool(4, 2, 6)
	for i, share := range shares(balance.Random, cs, request(), 40000) {
		if math.Abs(share-0.25) > 0.015 {
			t.Errorf("Random: %d has %.3f", i, share)
		}
	}
	for i, share := range shares(balance.WeightedRandom, cs, request(), 40000) {
		if want := cs[i].Capacity / 16; math.Abs(share-want) > 0.015 {
			t.Errorf("WeightedRandom: %d has %.3f, want %.3f", i, share, want)
		}
	}
}

func TestWeightedRoundRobinIsExactAndSmooth(t *testing.T) {
	t.Parallel()
	cs := pool(3, 1, 1, 5)
	heavy := slices.IndexFunc(cs, func(c balance.Candidate) bool { return c.Capacity == 5 })
	p := balance.WeightedRoundRobin.New()
	got := make([]int, 3)
	run, longest := 0, 0
	for range 700 {
		i := p.Pick(cs, request()).Index
		got[i]++
		if run++; i != heavy {
			run = 0
		}
		longest = max(longest, run)
	}
	for i := range cs {
		if got[i] != int(cs[i].Capacity)*100 {
			t.Errorf("candidate %d: %d picks, want %v", i, got[i], cs[i].Capacity*100)
		}
	}
	if longest > 4 {
		t.Errorf("the heavy one was taken %d times in a row, want at most 4", longest)
	}
}

func TestWeightedRoundRobinForgetsWorkersThatAreGone(t *testing.T) {
	p := balance.WeightedRoundRobin.New()
	for i := range 300 { // a new pool of three each time
		cs := pool(3, 1)
		for j := range cs {
			cs[j].ID = balance.ID(fmt.Sprint(i, j))
		}
		slices.SortFunc(cs, func(a, b balance.Candidate) int {
			if a.ID < b.ID {
				return -1
			}
			return 1
		})
		p.Pick(cs, request())
	}
	if n := balance.Remembered(p); n > 2*3+64 {
		t.Errorf("it remembers %d workers for a pool of 3", n)
	}
}

func TestPeakEWMAAvoidsTheSlowAndTriesTheUnknownOnce(t *testing.T) {
	t.Parallel()
	cs := pool(4, 8)
	for i := range cs {
		cs[i].Latency = 0.010
	}
	cs[2].Latency = 0.300
	if got := shares(balance.PeakEWMA, cs, request(), 10000); got[2] != 0 {
		t.Errorf("the slow one got %.3f, want 0: it loses each comparison", got[2])
	}
	cs[1].Latency = 0
	if got := shares(balance.PeakEWMA, cs, request(), 10000); got[1] < 0.45 {
		t.Errorf("an idle worker never measured got %.3f, want each draw it is in", got[1])
	}
	cs[1].Own = 1
	if got := shares(balance.PeakEWMA, cs, request(), 10000); got[1] > 0 {
		t.Errorf("a worker whose first call has not ended got %.3f", got[1])
	}
}

func TestConsistentHashKeepsKeysInPlaceAndFollowsCapacity(t *testing.T) {
	t.Parallel()
	cs := pool(10, 4, 12)
	p := balance.ConsistentHash.New()
	req := request()
	const keys = 20000
	owner := make([]uint64, keys)
	share := map[uint64]float64{}
	for k := range keys {
		req.AffinityKey = fmt.Sprint("session-", k)
		c := p.Pick(cs, req)
		if c.Reason != "owner of the key" {
			t.Fatalf("an idle pool: %+v", c)
		}
		owner[k] = cs[c.Index].ID
		share[owner[k]]++
	}
	for _, c := range cs {
		if got, want := share[c.ID]/keys, c.Capacity/80; math.Abs(got-want) > 0.015 {
			t.Errorf("capacity %v owns %.4f, want %.4f", c.Capacity, got, want)
		}
	}
	rest := cs[1:]
	for k := range keys { // only the keys of the one that left move
		req.AffinityKey = fmt.Sprint("session-", k)
		if got := rest[p.Pick(rest, req).Index].ID; got != owner[k] && owner[k] != cs[0].ID {
			t.Fatal("a key moved away from a worker that is still there")
		}
	}
}

func TestConsistentHashBoundsTheLoadOfAnOwner(t *testing.T) {
	t.Parallel()
	cs := pool(10, 8)
	p := balance.ConsistentHash.New()
	req := request()
	req.AffinityKey = "hot"
	for range 60 {
		c := p.Pick(cs, req)
		cs[c.Index].Load++
	}
	for i, c := range cs {
		if c.Load > math.Ceil(1.25*60/10) {
			t.Errorf("candidate %d has %v of 60 calls of one key", i, c.Load)
		}
	}
	req.AffinityKey = ""
	if c := p.Pick(cs, req); c.Reason == "owner of the key" {
		t.Error("a call without a key has an owner")
	}
}

func TestStickyHonoursTheLastWorkerWhileThereIsRoom(t *testing.T) {
	t.Parallel()
	cs := pool(3, 4)
	p := balance.StickyUntilFull.New()
	req := request()
	req.LastWorker = name(cs[1])
	for load := range 4 {
		cs[1].Load = float64(load)
		if c := p.Pick(cs, req); c.Index != 1 || c.Reason != "served the session before" {
			t.Errorf("load %d of 4: %+v", load, c)
		}
	}
	cs[1].Load = 4
	if c := p.Pick(cs, req); c.Index == 1 || c.Reason != "least loaded: the one before has no room or is gone" {
		t.Errorf("full: %+v", c)
	}
	req.LastWorker = "gone"
	if c := p.Pick(cs, req); c.Index < 0 || c.Reason != "least loaded: the one before has no room or is gone" {
		t.Errorf("gone: %+v", c)
	}
	req.LastWorker = ""
	if c := p.Pick(cs, req); c.Reason == "served the session before" || c.Reason == "least loaded: the one before has no room or is gone" {
		t.Errorf("no last worker: %+v", c)
	}
}

func TestPicksDoNotAllocate(t *testing.T) {
	cs := pool(20, 4, 8, 16)
	for _, s := range all() {
		for _, sampled := range []bool{false, true} {
			p := s.New()
			req := request()
			req.AffinityKey, req.LastWorker, req.Sample = "session-9", name(cs[4]), sampled
			p.Pick(cs, req)
			if n := testing.AllocsPerRun(100, func() { p.Pick(cs, req) }); n != 0 {
				t.Errorf("%v (sampled %v): %v allocations a pick", s, sampled, n)
			}
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{3, 20, 100, 1000} {
		cs := pool(n, 4, 16, 8, 12)
		for i := range cs {
			cs[i].Load, cs[i].Own, cs[i].Latency = float64(i*7%13), i%3, 0.01
		}
		for _, s := range all() {
			b.Run(fmt.Sprintf("%v/%d", s, n), func(b *testing.B) {
				b.ReportAllocs()
				p, req := s.New(), request()
				req.AffinityKey, req.LastWorker = "session-9", name(cs[n/2])
				for b.Loop() {
					p.Pick(cs, req)
				}
			})
		}
		b.Run(fmt.Sprintf("LeastConnections-sampled/%d", n), func(b *testing.B) {
			p, req := balance.LeastConnections.New(), request()
			req.Sample = true
			for b.Loop() {
				p.Pick(cs, req)
			}
		})
	}
}
