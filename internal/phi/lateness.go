package phi

import (
	"sync/atomic"
	"time"
)

// A Lateness measures by how much its process lately ran late: on a machine that has
// too much to do, packets wait in the socket and goroutines for a processor. To such a
// process the others look silent, and what it does about them makes the machine later
// still. One goroutine ticks at a fixed interval; the delay of its ticks is what
// everything in the process waits for. All methods are safe for concurrent use, but for
// Tick and Until, which one goroutine calls.
type Lateness struct {
	interval time.Duration // of the ticks
	start    time.Time     // the origin of due; never changes
	turns    int           // for how many intervals the next tick stands; the ticking goroutine's

	due  atomic.Int64 // when the next tick is due, as time since start
	most atomic.Int64 // the longest delay, which fades
}

const (
	// latenessFades is by which part the longest delay fades with each tick: after 50
	// ticks a thousandth is left.
	latenessFades = 8
	// maxTurns is after how many intervals nothing is left to fade.
	maxTurns = 64
	// patienceTurns times the delay is what a connection gets in addition: it takes a few
	// turns on each side. maxPatience is the most that it gets.
	patienceTurns = 8
	maxPatience   = 10 * time.Second
)

// NewLateness returns a Lateness whose first tick is due after one interval.
func NewLateness(interval time.Duration) *Lateness {
	l := &Lateness{interval: interval, start: time.Now(), turns: 1}
	l.due.Store(int64(interval))
	return l
}

// Tick records that the ticker has fired.
func (l *Lateness) Tick(now time.Time) {
	at := now.Sub(l.start)
	delay := at - time.Duration(l.due.Load())
	most := time.Duration(l.most.Load())
	for range l.turns {
		most -= most / latenessFades
	}
	l.most.Store(int64(max(0, delay, most)))
	l.due.Store(int64(at + l.interval))
	l.turns = 1
}

// Until says after a tick that the next one comes after pause, and not after the interval.
func (l *Lateness) Until(pause time.Duration) {
	l.due.Add(int64(pause - l.interval))
	l.turns = int(max(1, min(pause/l.interval, maxTurns)))
}

// By returns by how much the process is late: the longest delay of the last ticks, or
// that of the tick that is due if it is longer.
func (l *Lateness) By(now time.Time) time.Duration {
	return max(time.Duration(l.most.Load()), now.Sub(l.start)-time.Duration(l.due.Load()))
}

// Patience returns how long to wait for something that takes at most d on an idle
// machine and is done in part by this process: d and a few times its delay, at most
// 10 s more.
func (l *Lateness) Patience(d time.Duration) time.Duration {
	return d + min(patienceTurns*l.By(time.Now()), maxPatience)
}
