package routesim

import (
	"math/rand/v2"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
)

// A Config describes one run. Zero fields have the defaults named here. New is
// required.
type Config struct {
	// Workers is how many there are. Default 10.
	Workers int
	// Balancers is how many choose among them without knowing of each other. Default 1.
	Balancers int
	// Load is the arriving work as a share of what the workers can do. Default 0.8.
	Load float64
	// Requests is how many calls arrive. Default 20 000.
	Requests int
	// Seed determines the workload and the faults.
	Seed uint64
	// Calls makes calls of 20 ms mean (log-normal, sigma 1.2) instead of streams.
	Calls bool
	// Equal gives all workers 8 places and speed 1. Otherwise they have 4 to 16 places
	// and a speed of 0.6 to 1.5.
	Equal bool
	// Burst makes arrivals 2.2 times as fast in one second of five.
	Burst bool
	// Gap is the least time between reports of changes. Default
	// [load.MinReportInterval].
	Gap time.Duration
	// Connect is the mean of the random part of reaching a worker. Default 4 ms.
	Connect time.Duration

	// JoinAt is when the last worker joins. Default 0: at the start.
	JoinAt time.Duration
	// FailAt is when the last worker begins to fail every call after 5 ms. Default 0:
	// never.
	FailAt time.Duration
	// FailFor is how long it fails.
	FailFor time.Duration
	// Dying is the share of callers that die, half of them before they reach the
	// worker.
	Dying float64
	// Faults makes workers, balancers and streams of reports crash at random in the
	// middle half of the run.
	Faults bool
	// Sticky is how many sessions the callers belong to, Zipf 0.9. Each remembers its
	// last worker.
	Sticky int

	// Cut ends the run with the last arrival, and measures the last quarter of the
	// calls. It is for runs of many workers, which it takes long to fill and to empty.
	// Without it a run ends when all calls have ended.
	Cut bool

	// New makes the balancer with this number.
	New func(env *Env, id int) Balancer
}

// An Env has what a balancer can know of its surroundings, and what an oracle knows
// beside.
type Env struct {
	// Gap is the least time between two reports of a worker.
	Gap time.Duration
	// Rand is the source of randomness of balancers.
	Rand *rand.Rand
	// Truth returns the calls on the worker or on the way to it. It is for oracles only.
	Truth func(worker int) int
	// Cap returns the capacity of the worker.
	Cap func(worker int) int
}

// A Balancer gives workers to callers. Workers are numbered from 0. now is the
// virtual time since the start.
type Balancer interface {
	// Up says that a worker has started.
	Up(now time.Duration, worker int)
	// Down says that a worker has ended.
	Down(now time.Duration, worker int)
	// Report delivers a worker's report. If lost is true there is no report, and
	// the stream of reports is broken.
	Report(now time.Duration, worker int, r load.Report, lost bool)
	// Choose returns the worker for r and its ticket. The worker is -1 if there is
	// none.
	Choose(now time.Duration, r *Request) (worker int, t load.Ticket)
	// Ended says how a call ended, as its caller saw it.
	Ended(now time.Duration, worker int, r *Request, o Outcome)
}

// An Outcome says how a call ended.
type Outcome uint8

// The outcomes.
const (
	// Done is success.
	Done Outcome = iota
	// Failed is a failure of the worker, or of its process.
	Failed
	// Refused is a refusal of the worker, which no handler has seen.
	Refused
	// Died is the death of the caller.
	Died
)

// A Request is one call of one caller, with all its attempts.
type Request struct {
	// Session is the number of its session from 1, 0 if it has none; Last is the
	// session's last worker, -1 if there is none.
	Session, Last int
	// Exclude are the workers that have failed or refused it.
	Exclude []int
	// Tries counts the attempts so far.
	Tries int
	// Ticket is that of the present attempt, which began at Assigned.
	Ticket   load.Ticket
	Assigned time.Duration
	// Balancer is the number of the balancer that chooses for it.
	Balancer int
	// Picked belongs to the balancer.
	Picked any

	arrived time.Duration
	work    float64       // seconds at speed 1
	connect time.Duration // to reach the worker
	// dies is 1 if the caller dies before the call reaches the worker, 2 if in the
	// middle of the call.
	dies uint8
	life int // of the worker it runs on
}

// A Result has what a run measured.
type Result struct {
	P50, P99, P999 time.Duration // of the delays, without those of the first tenth
	// Ideal is the 99th percentile of the time that the same calls need to reach a
	// worker: what P99 would be if none had to wait.
	Ideal time.Duration
	// Mean is the mean utilisation of the workers at the end, Busiest that of the one
	// that one in a hundred exceeds. They say something if the run was cut.
	Mean, Busiest float64
	// Refusals counts refused attempts.
	Refusals int
	// Failures counts the calls that the failing worker got while it failed.
	Failures int
	// Joiner is the share of the assignments in the 5 s after JoinAt that went to
	// the worker that joined.
	Joiner float64
	// SameWorker is the share of first attempts that went to the session's last
	// worker.
	SameWorker float64
	// Utilisation is the highest number of calls of a worker over its capacity.
	Utilisation float64
	// Residue is the largest error at the end, when no call is left: what a worker
	// still counts, or what a balancer with an Estimate method still estimates.
	Residue float64
	// Reports is the number of reports per worker, balancer and second.
	Reports float64
}
