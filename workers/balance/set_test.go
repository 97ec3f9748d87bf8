package balance_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A set is candidates, sorted by ID, as a Set.
type set []balance.Candidate

func (s set) Len() int                     { return len(s) }
func (s set) At(i int) balance.Candidate   { return s[i] }
func (s set) Find(id uint64) (int, bool)   { return s.search(id) }
func (s set) Next(id uint64) (int, uint64) { i := s.after(id); return i, s[i].ID }

func (s set) MaxCapacity() (most float64) {
	for _, c := range s {
		most = max(most, c.Capacity)
	}
	return most
}

func (s set) search(id uint64) (int, bool) {
	return slices.BinarySearchFunc(s, id, func(c balance.Candidate, id uint64) int {
		switch {
		case c.ID < id:
			return -1
		case c.ID > id:
			return 1
		}
		return 0
	})
}

func (s set) after(id uint64) int {
	i, found := s.search(id)
	if found {
		i++
	}
	return i % len(s)
}

// setPicker returns a picker of a strategy that picks from sets.
func setPicker(t *testing.T, s balance.Strategy) func(balance.Set, *balance.PickRequest) balance.Pick {
	t.Helper()
	p, ok := s.New().(interface {
		PickFrom(balance.Set, *balance.PickRequest) balance.Pick
	})
	if !ok {
		t.Fatalf("%v cannot pick from a set", s)
	}
	return p.PickFrom
}

// sharesOf is shares for a set.
func sharesOf(t *testing.T, s balance.Strategy, cs set, req *balance.PickRequest, n int) []float64 {
	pick := setPicker(t, s)
	got := make([]float64, len(cs))
	for range n {
		got[pick(cs, req).Index] += 1 / float64(n)
	}
	return got
}

func TestEveryStrategyCopesWithASetOfNoneOneAndTwo(t *testing.T) {
	t.Parallel()
	for _, s := range all() {
		pick := setPicker(t, s)
		req := request()
		req.AffinityKey, req.LastWorker = "k", "worker-7"
		if c := pick(set(nil), req); c.Index != -1 || c.Reason != "no candidate" {
			t.Errorf("%v: none: %+v", s, c)
		}
		if c := pick(set(pool(1, 4)), req); c.Index != 0 {
			t.Errorf("%v: one: %+v", s, c)
		}
		for range 100 {
			if c := pick(set(pool(2, 4, 400)), req); c.Index < 0 || c.Index > 1 || c.Reason == "" {
				t.Errorf("%v: two: %+v", s, c)
			}
		}
	}
}

func TestLeastConnectionsTakesTheBestOfFourDistinctDrawsOfASet(t *testing.T) {
	t.Parallel()
	cs := set(pool(20, 8))
	for i := range cs {
		cs[i].Load = float64(i)
	}
	got := sharesOf(t, balance.LeastConnections, cs, request(), 40000)
	// Of 4 distinct draws out of 20 the lowest is i with C(19-i,3)/C(20,4).
	for i, want := range []float64{0.2, 0.1684, 0.1404} {
		if math.Abs(got[i]-want) > 0.01 {
			t.Errorf("candidate %d: %.4f, want %.4f", i, got[i], want)
		}
	}
	if got[17]+got[18]+got[19] != 0 {
		t.Error("one of the three fullest was chosen: the draws were not distinct")
	}
	// Nearly all capacity is with one: the draws are distinct all the same, and end.
	heavy := set(pool(6, 1))
	heavy[3].Capacity, heavy[3].Load = 1e6, 1e7
	if got := sharesOf(t, balance.LeastConnections, heavy, request(), 1000); got[3] > 0 {
		t.Errorf("the full one got %.3f", got[3])
	}
}

func TestPicksFromASetFollowCapacity(t *testing.T) {
	t.Parallel()
	cs := set(pool(200, 2, 6))
	for s, weighted := range map[string]bool{"Random": false, "RoundRobin": false, "WeightedRandom": true, "WeightedRoundRobin": true} {
		strategy, err := balance.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		large := 0.0
		for i, share := range sharesOf(t, strategy, cs, request(), 200_000) {
			want := 1. / 200
			if weighted {
				want = cs[i].Capacity / 800
			}
			if math.Abs(share-want) > 0.2*want {
				t.Errorf("%s: %d of capacity %v has %.5f, want %.5f", s, i, cs[i].Capacity, share, want)
			}
			if cs[i].Capacity == 6 {
				large += share
			}
		}
		if want := map[bool]float64{false: 0.5, true: 0.75}[weighted]; math.Abs(large-want) > 0.01 {
			t.Errorf("%s: the large ones have %.4f, want %v", s, large, want)
		}
	}
}

func TestRotationOfASetGivesEachOneTurnWhateverLeaves(t *testing.T) {
	t.Parallel()
	cs := set(pool(100, 1))
	pick := setPicker(t, balance.RoundRobin)
	seen := map[uint64]bool{}
	take := func(cs set) {
		id := cs[pick(cs, request()).Index].ID
		if seen[id] {
			t.Fatal("second turn within one rotation")
		}
		seen[id] = true
	}
	for range 50 {
		take(cs)
	}
	without := slices.DeleteFunc(slices.Clone(cs), func(c balance.Candidate) bool { return c.ID%7 == 0 && !seen[c.ID] })
	for range len(without) - 50 {
		take(without)
	}
}

func TestWeightedRotationOfASetIsEvenlySpread(t *testing.T) {
	t.Parallel()
	cs := set(pool(100, 2, 8))
	pick := setPicker(t, balance.WeightedRoundRobin)
	turns := make([]int, len(cs))
	for range 20 * (50 + 50/4) { // twenty rounds: each large one has a turn in each, each small one in every fourth
		turns[pick(cs, request()).Index]++
	}
	for i, n := range turns {
		if want := 20 * cs[i].Capacity / 8; math.Abs(float64(n)-want) > 1 {
			t.Errorf("capacity %v: %d turns, want %v", cs[i].Capacity, n, want)
		}
	}
}

func TestPeakEWMAAvoidsTheSlowOfASet(t *testing.T) {
	t.Parallel()
	cs := set(pool(4, 8))
	for i := range cs {
		cs[i].Latency = 0.010
	}
	cs[2].Latency = 0.300
	if got := sharesOf(t, balance.PeakEWMA, cs, request(), 10000); got[2] != 0 || got[0] < 0.3 {
		t.Errorf("shares %.3f: the slow one loses each comparison", got)
	}
}

func TestConsistentHashOfASetKeepsKeysInPlaceAndFollowsCapacity(t *testing.T) {
	t.Parallel()
	const keys, workers = 40_000, 200
	cs := set(pool(workers, 4, 12))
	pick := setPicker(t, balance.ConsistentHash)
	req := request()
	owner := make([]uint64, keys)
	share, large := map[uint64]float64{}, 0.0
	for k := range keys {
		req.AffinityKey = fmt.Sprint("session-", k)
		c := pick(cs, req)
		if c.Reason != "owner of the key" {
			t.Fatalf("an idle set: %+v", c)
		}
		owner[k] = cs[c.Index].ID
		share[owner[k]] += 1. / keys
		if cs[c.Index].Capacity == 12 {
			large += 1. / keys
		}
	}
	if math.Abs(large-0.75) > 0.03 {
		t.Errorf("the large ones own %.3f, want 0.75", large)
	}
	for _, c := range cs { // about 1+1/8 of its share, and chance: it is that of 100 keys
		if want := c.Capacity / (8 * workers); share[c.ID] > 1.6*want {
			t.Errorf("capacity %v owns %.5f, want about %.5f at most", c.Capacity, share[c.ID], want)
		}
	}
	rest := slices.Concat(cs[:50], cs[51:])
	other := setPicker(t, balance.ConsistentHash) // another process, with another history
	for k := range keys {                         // only the keys of the one that left move
		req.AffinityKey = fmt.Sprint("session-", k)
		if got := rest[other(rest, req).Index].ID; got != owner[k] && owner[k] != cs[50].ID {
			t.Fatal("a key moved away from a worker that is still there")
		}
	}
}

func TestConsistentHashBoundsTheLoadOfAnOwnerInASet(t *testing.T) {
	t.Parallel()
	cs := set(pool(200, 8))
	pick := setPicker(t, balance.ConsistentHash)
	req := request()
	for i := range cs {
		cs[i].Load = 4
	}
	req.AffinityKey = "hot"
	for range 100 {
		cs[pick(cs, req).Index].Load++
	}
	// The mean goes from 4 to 4.5: an owner has at most 1.25 of it, rounded up.
	for i, c := range cs {
		if c.Load > 6 {
			t.Errorf("candidate %d has %v calls", i, c.Load)
		}
	}
	for i := range cs { // all are over the bound but a few, far away
		cs[i].Load = 100
	}
	cs[7].Load = 50
	if c := pick(cs, req); c.Index < 0 || c.Reason == "owner of the key" {
		t.Errorf("all are full: %+v", c)
	}
	req.AffinityKey = ""
	if c := pick(cs, req); c.Reason != "least loaded of four draws" {
		t.Errorf("a call without a key: %+v", c)
	}
}

func TestStickyHonoursTheLastWorkerOfASetWhileThereIsRoom(t *testing.T) {
	t.Parallel()
	cs := set(pool(70, 4))
	pick := setPicker(t, balance.StickyUntilFull)
	req := request()
	req.LastWorker = name(cs[33])
	if c := pick(cs, req); c.Index != 33 || c.Reason != "served the session before" {
		t.Errorf("with room: %+v", c)
	}
	cs[33].Load = 4
	if c := pick(cs, req); c.Index == 33 || c.Reason != "least loaded: the one before has no room or is gone" {
		t.Errorf("full: %+v", c)
	}
	req.LastWorker = "gone"
	if c := pick(cs, req); c.Index < 0 || c.Reason != "least loaded: the one before has no room or is gone" {
		t.Errorf("gone: %+v", c)
	}
}
