package routesim

import (
	"cmp"
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
)

const (
	// network is how long a message travels.
	network = 500 * time.Microsecond
	// heartbeat is the time between two reports without a change. It is longer than
	// in production, so that the simulation spends its time on changes.
	heartbeat = 500 * time.Millisecond
)

// A worker is a simulated worker through all its lives. Slices have an element for
// each balancer.
type worker struct {
	capacity int
	speed    float64
	ledger   *load.Ledger
	up       bool
	// life grows when it crashes, so that what was planned for the life before is void.
	life int
	// onTheWay counts the calls that have not reached it.
	onTheWay int
	// due says whether a report is planned, sent when the last one was sent.
	due  []bool
	sent []time.Duration
	// stream is the number of the report stream. It grows when the stream breaks.
	stream []int
	// running has the calls that run or wait.
	running map[*load.Entry]*Request
}

// A sim is one run.
type sim struct {
	cfg    Config
	env    *Env
	now    time.Duration
	agenda agenda
	// seq is the number of the last event planned, free are events to use again.
	seq  uint64
	free []*event

	// work draws the workload, faults the faults. Balancers have a source of their own
	// (Env.Rand), so that all of them get the same workload.
	work, faults *rand.Rand
	workers      []*worker
	balancers    []Balancer

	// rate is the number of arrivals per second.
	rate float64
	// made and ended count requests.
	made, ended int
	// last is the last worker of each session, zipf the cumulative weights of sessions.
	last map[int]int
	zipf []float64
	// epoch is that of the last worker that started.
	epoch uint64

	measured measured
}

// measured is what a run measures. Its slices are in the order in which calls began to
// run, until finish sorts them.
type measured struct {
	result  Result
	ramp    int       // how many calls come before those that are measured
	delays  []float64 // of calls in seconds
	ways    []float64 // to reach the worker, of the same calls
	reports int       // sent
	// joined counts assignments after JoinAt: to the joiner, and all.
	joined [2]int
	// same counts first attempts: on the session's last worker, and all.
	same [2]int
}

// Run runs one simulation until no call is left. Two runs with equal configs have equal
// results. It is safe for concurrent use: a run shares nothing with others.
func Run(cfg Config) Result {
	// The defaults are a small cluster that is nearly full: differences between rules show
	// there.
	cfg.Workers = cmp.Or(cfg.Workers, 10)
	cfg.Balancers = cmp.Or(cfg.Balancers, 1)
	cfg.Load = cmp.Or(cfg.Load, 0.8)
	cfg.Requests = cmp.Or(cfg.Requests, 20000)
	cfg.Gap = cmp.Or(cfg.Gap, load.MinReportInterval(cfg.Workers))
	cfg.Connect = cmp.Or(cfg.Connect, 4*time.Millisecond)
	// Work and faults have sources of their own: a rule that draws more or fewer numbers must
	// not change what it is given to do.
	s := &sim{cfg: cfg, work: rand.New(rand.NewPCG(cfg.Seed, 99)), faults: rand.New(rand.NewPCG(cfg.Seed, 5)), last: map[int]int{}}
	// A run that is cut is looked at as it stands, when it has reached its balance.
	s.measured.ramp = cfg.Requests / 10
	if cfg.Cut {
		s.measured.ramp = cfg.Requests * 3 / 4
	}
	s.start()
	for len(s.agenda) > 0 && !(cfg.Cut && s.made == cfg.Requests) {
		e := heap.Pop(&s.agenda).(*event)
		s.now = e.at
		s.handle(*e)
		s.free = append(s.free, e)
	}
	return s.finish()
}

// push plans an event. It uses the memory of one that is over, of which a run has
// millions.
func (s *sim) push(e event) {
	s.seq++
	e.seq = s.seq // events of one moment happen in the order in which they were planned
	p := new(event)
	if last := len(s.free) - 1; last >= 0 {
		p, s.free = s.free[last], s.free[:last]
	}
	*p = e
	heap.Push(&s.agenda, p)
}

// The workers of a run that is not Equal, in turn.
var (
	capacities = []int{4, 16, 8, 8, 4, 16, 12, 8, 4, 8}
	speeds     = []float64{1, 1, 0.7, 1.3, 1, 0.8, 1, 1.5, 0.6, 1}
)

// start makes the workers and balancers and plans the first events.
func (s *sim) start() {
	c := &s.cfg
	power := 0.0
	for i := range c.Workers {
		w := &worker{capacity: 8, speed: 1}
		if !c.Equal {
			w.capacity, w.speed = capacities[i%len(capacities)], speeds[i%len(speeds)]
		}
		power += float64(w.capacity) * w.speed
		s.workers = append(s.workers, w)
	}
	// As many calls a second as the workers can do in that time, times the load.
	s.rate = c.Load * power / s.meanWork()
	// Truth is what an oracle sees; the production code does not use it.
	s.env = &Env{Gap: c.Gap, Rand: rand.New(rand.NewPCG(c.Seed, 77)),
		Truth: func(i int) int { return s.workers[i].ledger.InFlight() + s.workers[i].onTheWay },
		Cap:   func(i int) int { return s.workers[i].capacity }}
	for k := range c.Balancers {
		s.balancers = append(s.balancers, c.New(s.env, k))
	}
	for i, w := range s.workers {
		if c.JoinAt > 0 && i == c.Workers-1 {
			w.ledger = load.NewLedger(0, load.Limits{})
			s.push(event{at: c.JoinAt, kind: join, worker: i})
		} else {
			s.begin(i)
		}
	}
	s.push(event{kind: arrive})
	if c.Faults {
		s.push(event{at: s.length() / 4, kind: fault})
	}
}

// length returns how long the arrivals take on average. Faults are planned by it: they
// begin after a quarter and end after three.
func (s *sim) length() time.Duration {
	return time.Duration(float64(s.cfg.Requests) / s.rate * float64(time.Second))
}

// begin starts a life of a worker and a stream of reports to each balancer.
func (s *sim) begin(i int) {
	w := s.workers[i]
	s.epoch++
	w.up, w.running = true, map[*load.Entry]*Request{}
	// The queue has no end: what is measured is how long calls wait, not refusals for
	// want of room in it.
	w.ledger = load.NewLedger(s.epoch, load.Limits{Capacity: w.capacity, Queue: 1 << 30})
	n := len(s.balancers)
	w.due, w.sent = make([]bool, n), make([]time.Duration, n)
	if w.stream == nil {
		w.stream = make([]int, n)
	}
	for k, c := range s.balancers {
		c.Up(s.now, i)
		s.connect(i, k)
	}
}

// connect starts a stream of reports from a worker to a balancer, with a snapshot
// and a chain of heartbeats.
func (s *sim) connect(i, k int) {
	w := s.workers[i]
	w.stream[k]++              // voids what is planned of the stream before
	secret := new(load.Secret) // unused by balancers without tickets
	if c, ok := s.balancers[k].(interface{ Secret(worker int) *load.Secret }); ok {
		secret = c.Secret(i)
	}
	w.ledger.Subscribe(uint64(k+1), caller, secret)
	s.sendReport(i, k, true)
	s.push(event{at: s.now + heartbeat, kind: reportDue, worker: i, balancer: k, life: w.stream[k], outcome: Failed})
}

// sendReport sends a worker's report to a balancer: the numbers of this moment, which
// arrive a little later.
func (s *sim) sendReport(i, k int, snapshot bool) {
	w := s.workers[i]
	r := w.ledger.Report(uint64(k+1), snapshot)
	r.Interval = heartbeat
	w.due[k], w.sent[k] = false, s.now
	s.measured.reports++
	s.push(event{at: s.now + network, kind: reportArrives, worker: i, balancer: k, life: w.stream[k], report: r})
}

// changed plans a report to each balancer, as soon as the gap allows. Further changes
// until then go into the same report.
func (s *sim) changed(i int) {
	w := s.workers[i]
	for k := range s.balancers {
		if !w.due[k] {
			w.due[k] = true
			s.push(event{at: max(s.now, w.sent[k]+s.cfg.Gap), kind: reportDue, worker: i, balancer: k, life: w.stream[k]})
		}
	}
}

// handle makes an event happen. An event of a life or a stream that is over does
// nothing.
func (s *sim) handle(e event) {
	switch e.kind {
	case arrive:
		s.arrive()
	case reach:
		s.reach(e.worker, e.req)
	case finish, fail: // unless the worker has crashed or the caller has died before
		if w := s.workers[e.worker]; e.life == w.life && w.running[e.entry] != nil {
			o := e.outcome
			if e.kind == fail {
				o = Failed
			}
			s.end(e.worker, e.entry, o)
		}
	case reportDue:
		w := s.workers[e.worker]
		if !w.up || e.life != w.stream[e.balancer] {
			return
		}
		// A report of a change may have been sent meanwhile; a heartbeat is sent in any
		// case, and plans the next one.
		beat := e.outcome == Failed // marks the chain of heartbeats
		if beat || w.due[e.balancer] {
			s.sendReport(e.worker, e.balancer, false)
		}
		if beat && !s.over() {
			s.push(event{at: s.now + heartbeat, kind: reportDue, worker: e.worker, balancer: e.balancer, life: e.life, outcome: Failed})
		}
	case reportArrives:
		if e.life == s.workers[e.worker].stream[e.balancer] {
			s.balancers[e.balancer].Report(s.now, e.worker, e.report, false)
		}
	case ended: // the balancer first, so that it counts before it chooses again
		s.balancers[e.balancer].Ended(s.now, e.worker, e.req, e.outcome)
		if e.outcome == Failed || e.outcome == Refused {
			s.assign(e.req)
		}
	case join:
		s.begin(e.worker)
	case fault:
		s.fault()
	}
}

// over reports whether all calls have ended. Then no heartbeats follow, so that the run
// ends too.
func (s *sim) over() bool { return s.made >= s.cfg.Requests && s.ended >= s.made }

// arrive makes a request and plans the next arrival. The request's work and its way are
// drawn here, so that they do not depend on the balancer.
func (s *sim) arrive() {
	r := &Request{Balancer: s.work.IntN(len(s.balancers)), arrived: s.now, work: s.draw(), Last: -1,
		connect: time.Millisecond + time.Duration(s.work.ExpFloat64()*float64(s.cfg.Connect))}
	if p := s.work.Float64(); p < s.cfg.Dying {
		r.dies = 1 + uint8(s.work.IntN(2))
	}
	if s.cfg.Sticky > 0 {
		r.Session = s.session()
		if w, ok := s.last[r.Session]; ok {
			r.Last = w
		}
	}
	// The workload is drawn from a source of its own, so that all balancers get the same
	// calls at the same times.
	s.made++
	s.assign(r)
	if s.made < s.cfg.Requests {
		rate := s.rate
		// One second in five brings three times as many calls as the others; the mean stays.
		if s.cfg.Burst {
			rate *= 0.7
			if math.Mod(s.now.Seconds(), 5) < 1 {
				rate *= 2.2 / 0.7
			}
		}
		s.push(event{at: s.now + time.Duration(s.work.ExpFloat64()/rate*float64(time.Second)), kind: arrive})
	}
}

// assign asks the balancer for a worker and sends the call there. A call whose caller
// dies first never arrives: only the balancer knows of it.
func (s *sim) assign(r *Request) {
	i, t := s.balancers[r.Balancer].Choose(s.now, r)
	if i < 0 { // no worker: it asks again in 100 ms
		s.push(event{at: s.now + 100*time.Millisecond, kind: ended, balancer: r.Balancer, worker: -1, req: r, outcome: Refused})
		return
	}
	r.Ticket, r.Assigned = t, s.now
	if s.cfg.JoinAt > 0 && s.now >= s.cfg.JoinAt && s.now < s.cfg.JoinAt+5*time.Second {
		s.measured.joined[1]++
		if i == s.cfg.Workers-1 {
			s.measured.joined[0]++
		}
	}
	if s.cfg.Sticky > 0 { // the session remembers its worker, as a caller does
		if r.Last >= 0 && r.Tries == 0 {
			s.measured.same[1]++
			if r.Last == i {
				s.measured.same[0]++
			}
		}
		s.last[r.Session] = i
	}
	if r.dies == 1 { // the worker never hears of it: its ticket must expire
		s.ended++
		s.push(event{at: s.now + r.connect, kind: ended, balancer: r.Balancer, worker: i, req: r, outcome: Died})
		return
	}
	s.workers[i].onTheWay++
	s.push(event{at: s.now + r.connect, kind: reach, worker: i, req: r})
}

// reach makes a call arrive at its worker, which admits or refuses it.
func (s *sim) reach(i int, r *Request) {
	w := s.workers[i]
	w.onTheWay--
	if !w.up { // crashed while the call was on its way
		s.retry(i, r, Failed)
		return
	}
	// The third attempt waits at a worker that is unexpectedly full, as in production.
	e, _, why := w.ledger.Admit(s.now, load.Call{Ticket: r.Ticket, Ticketed: r.Ticket.Balancer != 0, Peer: caller, Attempt: r.Tries, Owner: r})
	s.changed(i)
	if why != load.RefusalNone {
		s.measured.result.Refusals++
		s.retry(i, r, Refused)
		return
	}
	r.life = w.life
	w.running[e] = r
	if u := float64(w.ledger.InFlight()) / float64(w.capacity); u > s.measured.result.Utilisation {
		s.measured.result.Utilisation = u
	}
	if !e.Waiting() {
		s.runs(i, e)
	}
}

// runs makes a call run that has got a place, and plans its end.
func (s *sim) runs(i int, e *load.Entry) {
	w, r := s.workers[i], e.Owner().(*Request)
	// The first calls find idle workers, and would make every rule look good.
	if s.made > s.measured.ramp {
		s.measured.delays = append(s.measured.delays, (s.now - r.arrived).Seconds())
		s.measured.ways = append(s.measured.ways, r.connect.Seconds())
	}
	if c := &s.cfg; c.FailAt > 0 && i == c.Workers-1 && s.now >= c.FailAt && s.now < c.FailAt+c.FailFor {
		s.measured.result.Failures++
		s.push(event{at: s.now + 5*time.Millisecond, kind: fail, worker: i, entry: e, life: w.life})
		return
	}
	// A caller that dies while its call runs frees the place after half of the time.
	took := time.Duration(r.work / w.speed * float64(time.Second))
	o := Done
	if r.dies == 2 {
		took, o = took/2, Died
	}
	s.push(event{at: s.now + took, kind: finish, worker: i, entry: e, life: w.life, outcome: o})
}

// end ends a call on its worker, and lets the next one of the queue run. The balancer
// hears of the end a little later.
func (s *sim) end(i int, e *load.Entry, o Outcome) {
	w := s.workers[i]
	r := w.running[e]
	delete(w.running, e)
	next := w.ledger.Release(s.now, e)
	s.changed(i)
	if next != nil {
		s.runs(i, next)
	}
	if o == Failed { // the caller goes on; the call has not ended
		s.retry(i, r, Failed)
		return
	}
	s.ended++
	s.push(event{at: s.now + network, kind: ended, balancer: r.Balancer, worker: i, req: r, outcome: o})
}

// retry sends a caller back to its balancer after a failure or a refusal. It excludes
// the worker, and asks again when the news has travelled.
func (s *sim) retry(i int, r *Request, o Outcome) {
	r.Tries++
	r.Exclude = append(r.Exclude, i)
	s.push(event{at: s.now + network, kind: ended, balancer: r.Balancer, worker: i, req: r, outcome: o})
}

// finish computes the result, when every call and every report has come to its end.
func (s *sim) finish() Result {
	r := &s.measured.result
	slices.Sort(s.measured.delays)
	slices.Sort(s.measured.ways)
	r.P50, r.P99, r.P999 = seconds(s.measured.delays, .5), seconds(s.measured.delays, .99), seconds(s.measured.delays, .999)
	r.Ideal = seconds(s.measured.ways, .99)
	// How full the workers are at the end; of use for a run that was cut.
	busy := make([]float64, len(s.workers))
	for i, w := range s.workers {
		busy[i] = float64(w.ledger.InFlight()) / float64(w.capacity)
		r.Mean += busy[i] / float64(len(busy))
	}
	slices.Sort(busy)
	r.Busiest = busy[min(len(busy)*99/100, len(busy)-1)]
	if s.cfg.Cut {
		return *r
	}
	if s.measured.joined[1] > 0 {
		r.Joiner = float64(s.measured.joined[0]) / float64(s.measured.joined[1])
	}
	if s.measured.same[1] > 0 {
		r.SameWorker = float64(s.measured.same[0]) / float64(s.measured.same[1])
	}
	// Tickets that were never claimed have expired by then.
	end := s.now + load.ClaimWithin + time.Second
	for i, w := range s.workers {
		r.Residue = max(r.Residue, float64(w.ledger.InFlight()))
		for _, c := range s.balancers {
			if e, ok := c.(interface {
				Estimate(now time.Duration, worker int) float64
			}); ok {
				r.Residue = max(r.Residue, e.Estimate(end, i))
			}
		}
	}
	r.Reports = float64(s.measured.reports) / s.now.Seconds() / float64(len(s.workers)*len(s.balancers))
	return *r
}

// seconds returns a quantile of durations in seconds: the value below which the given share of the sorted values is.
func seconds(sorted []float64, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return time.Duration(sorted[min(int(share*float64(len(sorted))), len(sorted)-1)] * float64(time.Second))
}
