package load_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

func TestTicketNobodyClaimsStopsCountingAfterItsTime(t *testing.T) {
	t.Parallel()
	var v load.LoadEstimate
	v.Apply(0, load.Report{Epoch: 1, Seq: 1})
	v.Issue(0, 1)
	v.Issue(3*second, 2)
	for at, want := range map[time.Duration]int{0: 2, load.ClaimWithin: 2} {
		if got := v.Pending(at); got != want {
			t.Errorf("at %v: %d pending, want %d", at, got, want)
		}
	}
	if got := v.Pending(load.ClaimWithin + ms); got != 1 {
		t.Errorf("after the first expired: %d pending", got)
	}
	// The client of the expired one comes late: the worker counts it, and its
	// claim takes nothing away here.
	v.Apply(6*second, load.Report{Epoch: 1, Seq: 2, InFlight: 1, Claimed: []uint64{1}})
	if got := v.Estimate(6*second, 0, 1, 20*ms); got != 2 {
		t.Errorf("estimate %v, want the late one and the pending one", got)
	}
}

func TestClaimMovesATicketFromPendingToInFlight(t *testing.T) {
	t.Parallel()
	var v load.LoadEstimate
	v.Apply(0, load.Report{Epoch: 1, Seq: 1})
	v.Issue(0, 1)
	v.Issue(0, 2)
	if e := v.Estimate(0, 0, 1, 0); e != 2 {
		t.Errorf("issued: %v", e)
	}
	v.Apply(ms, load.Report{Epoch: 1, Seq: 2, InFlight: 1, Claimed: []uint64{1}})
	if e := v.Estimate(ms, 0, 1, 0); e != 2 {
		t.Errorf("one has arrived: %v", e)
	}
	v.Drop(2)
	if e := v.Estimate(ms, 0, 1, 0); e != 1 {
		t.Errorf("the other failed: %v", e)
	}
}

func TestLateOrReorderedReportIsIgnored(t *testing.T) {
	t.Parallel()
	var v load.LoadEstimate
	v.Apply(0, load.Report{Epoch: 1, Seq: 5, InFlight: 3})
	for _, seq := range []uint64{4, 5} {
		if v.Apply(ms, load.Report{Epoch: 1, Seq: seq, InFlight: 9}) {
			t.Errorf("report %d after 5 was taken", seq)
		}
	}
	if v.Report().InFlight != 3 {
		t.Errorf("in flight %d", v.Report().InFlight)
	}
}

func TestLateReportStillClaimsItsTickets(t *testing.T) {
	t.Parallel()
	var v load.LoadEstimate
	v.Apply(0, load.Report{Epoch: 1, Seq: 1})
	v.Issue(0, 1)
	if !v.ApplyPiggybacked(ms, load.Report{Epoch: 1, Seq: 3, InFlight: 1}) {
		t.Fatal("numbers that came with a call were refused")
	}
	if v.Apply(2*ms, load.Report{Epoch: 1, Seq: 2, InFlight: 1, Claimed: []uint64{1}}) {
		t.Error("an older report was taken")
	}
	if e := v.Estimate(2*ms, 0, 1, 0); e != 1 {
		t.Errorf("estimate %v: the ticket counts twice", e)
	}
	if v.ApplyPiggybacked(3*ms, load.Report{Epoch: 2, Seq: 9}) {
		t.Error("numbers of another life were taken")
	}
	v.Lost()
	if v.ApplyPiggybacked(4*ms, load.Report{Epoch: 1, Seq: 9}) {
		t.Error("numbers count although the worker reports no more")
	}
}

func TestRestartedWorkerStartsFromTruthNotFromHistory(t *testing.T) {
	t.Parallel()
	var v load.LoadEstimate
	v.Apply(0, load.Report{Epoch: 1, Seq: 500, InFlight: 12})
	v.Issue(0, 1)
	if !v.Apply(ms, load.Report{Epoch: 2, Seq: 1}) {
		t.Fatal("the first report of a new life was refused")
	}
	if e := v.Estimate(ms, 0, 1, 0); e != 0 {
		t.Errorf("estimate %v for an empty worker", e)
	}
}

func TestOwnCallsCountOnceWhetherReportedOrNot(t *testing.T) {
	t.Parallel()
	var v load.LoadEstimate
	v.Apply(0, load.Report{Epoch: 1, Seq: 1, InFlight: 4})
	v.Begin()
	if e := v.Estimate(0, 0, 1, 0); e != 5 {
		t.Errorf("before the report: %v", e)
	}
	v.Apply(ms, load.Report{Epoch: 1, Seq: 2, InFlight: 5, Yours: 1})
	if e := v.Estimate(ms, 0, 1, 0); e != 5 {
		t.Errorf("after the report: %v", e)
	}
	v.End()
	if e := v.Estimate(ms, 0, 1, 0); e != 4 || v.Own() != 0 {
		t.Errorf("ended: %v", e)
	}
}

func TestOthersFadeToTheMeanAsAReportAges(t *testing.T) {
	t.Parallel()
	var v load.LoadEstimate
	v.Apply(0, load.Report{Epoch: 1, Seq: 1, InFlight: 10, MeanService: 100 * ms, Interval: 50 * ms})
	const u, capacity = 0.25, 8.0
	want := func(age time.Duration) float64 { return 2 + 8*math.Exp(-float64(age)/float64(100*ms)) }
	for at, age := range map[time.Duration]time.Duration{
		20 * ms:    20 * ms,
		100 * ms:   20 * ms,  // heartbeats arrive: silence means no change
		200 * ms:   200 * ms, // they do not any more
		3 * second: 3 * second,
	} {
		if got := v.Estimate(at, u, capacity, 20*ms); math.Abs(got-want(age)) > 1e-9 {
			t.Errorf("at %v: %v, want %v", at, got, want(age))
		}
	}
}

func TestFailuresInARowEjectAndTheTimeDoubles(t *testing.T) {
	t.Parallel()
	var h load.Health
	fail := func(now time.Duration, n int) (ejected bool) {
		for range n {
			ejected = h.Failure(now)
		}
		return ejected
	}
	fail(0, 4)
	h.Success(0)
	if fail(0, 4) || !h.Available(0) {
		t.Fatal("ejected although a success came between")
	}
	if !fail(0, 1) || h.Available(0) || h.Available(5*second-ms) {
		t.Fatal("five in a row do not eject for 5 s")
	}
	if !h.Available(5 * second) {
		t.Fatal("not back after 5 s")
	}
	h.Picked(5*second, "1")
	if h.Available(5*second + ms) {
		t.Fatal("a second call before the outcome of the trial")
	}
	if !h.Available(10 * second) {
		t.Fatal("a trial without an outcome blocks for ever")
	}
	if !fail(5*second+10*ms, 1) || h.Available(15*second) || !h.Available(15*second+10*ms) {
		t.Fatal("a failed trial does not eject for 10 s")
	}
	h.Success(15*second + 20*ms)
	if until, ejected := h.Ejected(16 * second); ejected || !h.Available(16*second) {
		t.Fatalf("a good trial leaves it ejected until %v", until)
	}
	// Two ejections are remembered; a healthy minute takes one back.
	if fail(80*second, 5); h.Available(80*second+10*second-ms) || !h.Available(80*second+10*second) {
		t.Fatal("after a minute in good health the next ejection is not the second")
	}
}

func TestEjectionNeverLastsLongerThanFiveMinutes(t *testing.T) {
	t.Parallel()
	var h load.Health
	now := time.Duration(0)
	for range 5 {
		h.Failure(now)
	}
	for range 40 {
		until, _ := h.Ejected(now)
		if until-now > 300*second {
			t.Fatalf("ejected for %v", until-now)
		}
		now = until
		h.Picked(now, "")
		if !h.Failure(now) {
			t.Fatal("a failed trial does not eject")
		}
	}
}

func TestTwoCallersThatAgreeEjectAndOneDoesNot(t *testing.T) {
	t.Parallel()
	var h load.Health
	if h.Complaint(second, "1") || h.Complaint(2*second, "1") || h.Complaint(3*second, "1") {
		t.Fatal("one caller ejected a worker by itself")
	}
	if h.Complaint(20*second, "2") {
		t.Fatal("the complaints are 17 s apart")
	}
	if !h.Complaint(21*second, "3") || h.Available(22*second) {
		t.Fatal("two callers agree, and it stays")
	}
	h.Picked(26*second, "4") // the trial
	if !h.Complaint(27*second, "4") || h.Available(36*second) || !h.Available(37*second) {
		t.Fatal("a complaint about the trial does not eject for 10 s")
	}
	h.Picked(37*second, "")
	h.Picked(42*second, "") // nobody has complained about the second trial
	if !h.Available(42*second) || h.Complaint(43*second, "5") {
		t.Fatal("a trial without bad news does not bring it back")
	}
}

// pool returns a pool of n workers with a report each, and the group of all.
func pool(n int, s balance.Strategy) (*load.Pool, *load.Group) {
	p := load.NewPool(1, rand.New(rand.NewPCG(3, 4)))
	for i := range n {
		w := &load.Candidate{Name: string(rune('a' + i))}
		p.Add(0, w)
		p.Apply(0, w, load.Report{Epoch: 1, Seq: 1, Capacity: 8, Interval: 50 * ms})
	}
	g := p.NewGroup(s)
	for _, w := range p.Workers() {
		g.Insert(w)
	}
	return p, g
}

// picked returns the names chosen in 200 picks.
func picked(g *load.Group, now time.Duration, req balance.PickRequest) map[string]bool {
	names := map[string]bool{}
	for range 200 {
		if w, _, _ := g.Pick(now, &req); w != nil {
			names[w.Name] = true
		}
	}
	return names
}

func TestPickLeavesOutThoseThatMustNotBeChosen(t *testing.T) {
	t.Parallel()
	set := map[string]func(p *load.Pool, w *load.Candidate, req *balance.PickRequest){
		"gone":     func(p *load.Pool, w *load.Candidate, _ *balance.PickRequest) { p.SetPhase(0, w, load.PhaseGone) },
		"late":     func(p *load.Pool, w *load.Candidate, _ *balance.PickRequest) { p.SetPhase(0, w, load.PhaseLate) },
		"suspect":  func(p *load.Pool, w *load.Candidate, _ *balance.PickRequest) { p.SetPhase(0, w, load.PhaseSuspected) },
		"lost":     func(p *load.Pool, w *load.Candidate, _ *balance.PickRequest) { p.Lost(0, w) },
		"excluded": func(_ *load.Pool, w *load.Candidate, req *balance.PickRequest) { req.Exclude = []string{w.Name} },
		"draining": func(p *load.Pool, w *load.Candidate, _ *balance.PickRequest) {
			p.Apply(0, w, load.Report{Epoch: 1, Seq: 2, State: load.StateDraining})
		},
		"ejected": func(p *load.Pool, w *load.Candidate, _ *balance.PickRequest) {
			for range 5 {
				p.Failure(0, w)
			}
		},
	}
	for name, do := range set {
		p, g := pool(3, balance.LeastConnections)
		var req balance.PickRequest
		bad := p.Workers()[1]
		do(p, bad, &req)
		if names := picked(g, ms, req); names[bad.Name] || len(names) != 2 {
			t.Errorf("%s: picked %v, want the two others", name, names)
		}
	}
}

func TestStaleReportLeavesAWorkerOutButDoesNotCloseTheGate(t *testing.T) {
	t.Parallel()
	p, g := pool(3, balance.LeastConnections)
	for _, w := range p.Workers()[1:] {
		p.Apply(11*second, w, load.Report{Epoch: 1, Seq: 2, Capacity: 8})
	}
	if names := picked(g, 11*second, balance.PickRequest{}); names[p.Workers()[0].Name] || len(names) != 2 {
		t.Errorf("picked %v", names)
	}
	if names := picked(g, 30*second, balance.PickRequest{}); len(names) != 3 {
		t.Errorf("all reports are old: picked %v, want all", names)
	}
}

func TestPanicTakesEjectedWorkersBackButNeverDrainingOnes(t *testing.T) {
	t.Parallel()
	p, g := pool(4, balance.LeastConnections)
	ws := p.Workers()
	p.Apply(0, ws[3], load.Report{Epoch: 1, Seq: 2, State: load.StateDraining})
	for _, w := range ws[:2] {
		for range 5 {
			p.Failure(0, w)
		}
	}
	names := picked(g, ms, balance.PickRequest{})
	if len(names) != 3 || names[ws[3].Name] {
		t.Errorf("two of three ejected: picked %v, want those three", names)
	}
	p.Apply(0, ws[0], load.Report{Epoch: 2, Seq: 1, Capacity: 8}) // restarted
	if names := picked(g, ms, balance.PickRequest{}); len(names) != 2 {
		t.Errorf("one of three ejected: picked %v, want two", names)
	}
}

func TestSuspicionTakesOutAtMostHalf(t *testing.T) {
	t.Parallel()
	p, g := pool(4, balance.LeastConnections)
	ws := p.Workers()
	p.SetPhase(0, ws[0], load.PhaseSuspected)
	p.SetPhase(0, ws[1], load.PhaseSuspected)
	if names := picked(g, ms, balance.PickRequest{}); len(names) != 2 {
		t.Errorf("half are silent: picked %v, want the others", names)
	}
	p.SetPhase(0, ws[2], load.PhaseSuspected)
	if names := picked(g, ms, balance.PickRequest{}); len(names) != 4 {
		t.Errorf("three of four are silent: it is us; picked %v, want all", names)
	}
}

func TestLateWorkersServeWhenThereIsNoOther(t *testing.T) {
	t.Parallel()
	p, g := pool(2, balance.LeastConnections)
	for _, w := range p.Workers() {
		p.SetPhase(0, w, load.PhaseLate)
	}
	if names := picked(g, ms, balance.PickRequest{}); len(names) != 2 {
		t.Errorf("picked %v", names)
	}
}

func TestPickFromNothingIsNothing(t *testing.T) {
	t.Parallel()
	p, g := pool(1, balance.RoundRobin)
	if w, c, _ := g.Pick(0, &balance.PickRequest{Exclude: []string{p.Workers()[0].Name}}); w != nil || c.Index != -1 {
		t.Errorf("got %v", w)
	}
}

func TestBurstOfTicketsSpreadsBeforeAnyReport(t *testing.T) {
	t.Parallel()
	p, g := pool(5, balance.LeastConnections)
	for range 40 {
		w, _, full := g.Pick(0, &balance.PickRequest{})
		if full {
			t.Fatal("a worker with room is called full")
		}
		p.Issue(0, w, full, "")
	}
	for _, w := range p.Workers() {
		if n := w.Pending(0); n != 8 {
			t.Errorf("%s has %d of a burst of 40 on 5", w.Name, n)
		}
	}
	if _, _, full := g.Pick(0, &balance.PickRequest{}); !full {
		t.Error("all are full and the pick does not say so")
	}
}

func TestWorkerWithoutCapacityCountsAsTheMedian(t *testing.T) {
	t.Parallel()
	p, _ := pool(3, balance.LeastConnections)
	w := p.Workers()[0]
	p.Apply(0, w, load.Report{Epoch: 1, Seq: 2})
	if c := p.Capacity(w); c != 8 {
		t.Errorf("capacity %v, want the median 8", c)
	}
	w.Weight = 0.25
	if c := p.Capacity(w); c != 2 {
		t.Errorf("capacity %v at a quarter of the weight", c)
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	_, g := pool(20, balance.LeastConnections)
	req := balance.PickRequest{}
	g.Pick(0, &req)
	if n := testing.AllocsPerRun(100, func() { g.Pick(ms, &req) }); n != 0 {
		t.Errorf("%v allocations a pick", n)
	}
}

func BenchmarkGroupPick(b *testing.B) {
	_, g := pool(20, balance.LeastConnections)
	req := balance.PickRequest{}
	b.ReportAllocs()
	for b.Loop() {
		g.Pick(ms, &req)
	}
}
