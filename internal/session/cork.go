package session

import (
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// maxYields is how often the reader lets others run before it writes, and
	// maxYield about how long, at most: who was woken runs within a few turns,
	// unless the process has more to do than calls.
	maxYields = 16
	maxYield  = 100 * time.Microsecond
	// share is which part of the calls in flight is worth a write of its own
	// while there are frames that have come and wait to be handled. With fewer
	// the system calls cost more than the calls, with more the two sides wait
	// for each other.
	share = 16
)

// A cork holds back what is sent while the reader handles frames that came
// together. Those who are woken for them are about to send: handlers their answers,
// callers their next calls. If each of them wrote for itself, most writes would
// carry one frame. So the reader takes the writing role when it sees that another
// frame is there, and writes for all of them when the frames are used up: a
// server's at the end of each record, because its caller may wait for them; a
// caller's when there are enough of them or the next read may wait.
//
// It belongs to the holder of the reading role.
type cork struct {
	// in: the reader has the writing role, and must pull the cork before it waits.
	in bool
	// always: the end of each record pulls the cork. It is set on a server, and if the
	// connection does not say when a read may wait.
	always bool
	// foresees: the connection says when a read may wait.
	foresees bool

	out   *sender
	life  *lifetime
	woken *wakeups
}

// put takes the writing role for the reader if it is free. If not, the goroutine that
// has it writes what the frames cause.
func (c *cork) put() { c.in = c.out.tryLead() }

// enough reports whether the buffer holds as many calls as are worth a write
// though more frames have come.
func (c *cork) enough() bool {
	if c.always {
		return true
	}
	c.woken.letRun()
	return c.out.callsWaiting()*share >= c.life.inflight.Load()
}

// pull writes what came together, and gives the writing role back. It must be
// called before a read that may wait.
func (c *cork) pull() {
	if !c.in {
		return
	}
	c.in = false
	c.woken.letRun()
	mode := flushNow
	if c.life.inflight.Load() > 0 {
		mode = flushYield
	}
	c.out.flush(mode)
}

// wakeups counts callers and handlers that were woken and do not run yet. It is a
// hint: nothing goes wrong if it is not exact.
type wakeups struct{ n atomic.Int64 }

// letRun lets them run, so that their next calls and their answers are in the
// buffer.
func (w *wakeups) letRun() {
	if w.n.Load() == 0 {
		return
	}
	begin := nanotime()
	for range maxYields {
		runtime.Gosched()
		if w.n.Load() == 0 || nanotime()-begin > int64(maxYield) {
			return
		}
	}
}
