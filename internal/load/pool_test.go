package load_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A script plays events on a pool and its groups, read from bytes.
type script struct {
	t      *testing.T
	bytes  []byte
	now    time.Duration
	seq    uint64
	pool   *load.Pool
	there  map[string]*load.Candidate
	groups []*load.Group
	given  []uint64 // the IDs of the candidates of the last pick
}

// next returns the next byte below n; 0 at the end.
func (s *script) next(n int) int {
	if len(s.bytes) == 0 {
		return 0
	}
	b := s.bytes[0]
	s.bytes = s.bytes[1:]
	return int(b) % n
}

// Pick keeps what it is given and draws. It is the picker of all groups.
func (s *script) Pick(cs []balance.Candidate, req *balance.PickRequest) balance.Pick {
	s.given = s.given[:0]
	for _, c := range cs {
		s.given = append(s.given, c.ID)
	}
	if len(cs) == 0 {
		return balance.Pick{Index: -1}
	}
	return balance.Pick{Index: req.Rand.IntN(len(cs))}
}

// newGroup returns a group whose picker is s.
func (s *script) newGroup() *load.Group {
	return s.pool.NewGroup(balance.Custom("script", func() balance.Picker { return s }))
}

// event plays one event.
func (s *script) event() {
	name := strconv.Itoa(s.next(24))
	w := s.there[name]
	if w == nil { // every event of a worker that is not there adds it
		w = &load.Candidate{Name: name}
		s.there[name] = w
		s.pool.Add(s.now, w)
		s.groups[0].Insert(w)
		if s.next(2) == 0 {
			s.groups[1].Insert(w)
		}
		return
	}
	switch s.next(12) {
	case 0:
		delete(s.there, name)
		s.pool.Remove(w)
	case 1, 2:
		s.seq++
		capacities := []uint32{0, 1, 4, 8, 8, 16, 1 << 30}
		r := load.Report{Epoch: uint64(1 + s.next(8)/7), Seq: s.seq, Capacity: capacities[s.next(len(capacities))],
			InFlight: uint32(s.next(200)), Balancers: uint32(s.next(6)), Interval: 50 * ms}
		if s.next(8) == 0 {
			r.State = load.StateDraining
		}
		s.pool.Apply(s.now, w, r)
	case 3:
		s.pool.Lost(s.now, w)
	case 4:
		s.pool.SetPhase(s.now, w, load.Phase(s.next(4)))
	case 5:
		for range 1 + s.next(6) {
			s.pool.Failure(s.now, w)
		}
	case 6:
		s.pool.Complaint(s.now, w, strconv.Itoa(s.next(3)))
	case 7:
		s.pool.Success(s.now, w)
	case 8:
		s.now += time.Duration(1+s.next(256)) * 40 * ms // up to 10 s
	case 9:
		if g := s.groups[s.next(2)]; g.Has(w) {
			g.Remove(w)
		} else {
			g.Insert(w)
		}
	case 10: // the second group is forgotten, and another one made
		s.groups[1].Drop()
		s.groups[1] = s.newGroup()
	case 11:
		s.pick(s.groups[s.next(2)])
	}
}

// pick picks with a request that excludes some, and compares the candidates with those
// that the statuses of all members make.
func (s *script) pick(g *load.Group) {
	req := balance.PickRequest{Caller: strconv.Itoa(s.next(3)), Alternates: s.next(3)}
	for range s.next(8) {
		req.Exclude = append(req.Exclude, strconv.Itoa(s.next(26)))
	}
	want := candidates(s.now, g.Members(), req.Exclude)
	w, _, _ := g.Pick(s.now, &req)
	if !slices.Equal(s.given, want) || (w == nil) != (len(want) == 0) {
		s.t.Fatalf("at %v, without %v: candidates %x, want %x", s.now, req.Exclude, s.given, want)
	}
	want = candidates(s.now, g.Members(), req.Exclude)
	others := g.Alternates(s.now, &req, w)
	for i, o := range others {
		if o == w || !slices.Contains(want, o.ID) || slices.Contains(others[:i], o) {
			s.t.Fatalf("alternate %d of %d is %s beside %s", i, len(others), o.Name, w.Name)
		}
	}
	if w != nil && slices.Contains(want, w.ID) && len(others) != min(req.Alternates, len(want)-1) {
		s.t.Fatalf("%d alternates of %d candidates, want %d", len(others), len(want), req.Alternates)
	}
}

// candidates returns the IDs of those of ws that are candidates, sorted: by a look at
// each of them.
func candidates(now time.Duration, ws []*load.Candidate, exclude []string) (ids []uint64) {
	status := func(w *load.Candidate) load.Status { return load.StatusOf(now, w, slices.Contains(exclude, w.Name)) }
	var n [load.StatusUnreachable + 1]int
	for _, w := range ws {
		n[status(w)]++
	}
	fine := n[load.StatusCandidate] + n[load.StatusLate]
	alive := fine + n[load.StatusEjected] + n[load.StatusSuspected] + n[load.StatusStale]
	worst := load.StatusStale
	switch {
	case 2*fine >= alive && n[load.StatusCandidate] > 0:
		worst = load.StatusCandidate
	case 2*fine >= alive && fine > 0:
		worst = load.StatusLate
	case 2*(fine+n[load.StatusEjected]) >= alive && fine+n[load.StatusEjected] > 0:
		worst = load.StatusEjected
	case fine+n[load.StatusEjected]+n[load.StatusSuspected] > 0:
		worst = load.StatusSuspected
	}
	for _, w := range ws {
		if status(w) <= worst {
			ids = append(ids, w.ID)
		}
	}
	return ids
}

// FuzzPoolKeepsAccount: after any events, what the pool keeps is what it would find by a
// look at all workers.
func FuzzPoolKeepsAccount(f *testing.F) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := make([]byte, 3000)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &script{t: t, bytes: b, pool: load.NewPool(1, rand.New(rand.NewPCG(1, 2))), there: map[string]*load.Candidate{}}
		s.groups = []*load.Group{s.newGroup(), s.newGroup()}
		for len(s.bytes) > 0 {
			s.event()
			if err := s.pool.Check(s.now); err != nil {
				t.Fatalf("at %v: %v", s.now, err)
			}
		}
	})
}

// TestTotalsAreThoseOfAllOnceEachHasReported: a capacity that changes the median of all
// leaves the sums of the others as they are until their next reports.
func TestTotalsAreThoseOfAllOnceEachHasReported(t *testing.T) {
	t.Parallel()
	p, _ := pool(3, balance.LeastConnections)
	ws := p.Workers()
	report := func(w *load.Candidate, seq uint64, capacity, inFlight uint32) {
		p.Apply(0, w, load.Report{Epoch: 1, Seq: seq, Capacity: capacity, InFlight: inFlight})
	}
	report(ws[0], 2, 0, 4)
	report(ws[1], 2, 10, 5)
	report(ws[2], 2, 10_000, 6)
	for i, w := range ws { // a heartbeat of each
		report(w, 3, []uint32{0, 10, 10_000}[i], uint32(4+i))
	}
	if others, capacity := p.Totals(); others != 15 || capacity != 10+10+80 {
		t.Errorf("%v calls on a capacity of %v, want 15 on 100", others, capacity)
	}
	p.Remove(ws[2])
	if others, capacity := p.Totals(); others != 9 || capacity != 20 {
		t.Errorf("%v calls on a capacity of %v without the last, want 9 on 20", others, capacity)
	}
}
