package session

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// fastTick is the interval of the tick while callers read for themselves:
// what such a call may take to notice that its context has ended.
const fastTick = 10 * time.Millisecond

// start is the origin of nanotime.
var start = time.Now()

// nanotime is a clock that costs little and never goes back.
func nanotime() int64 { return int64(time.Since(start)) }

// A ticker looks after what has no goroutine of its own: a lone caller that takes
// long, a reader that has been parked for long, keepalive, a stalled write,
// the memory of an idle session. A timer runs [ticker.tick].
type ticker struct {
	s *Session

	timer    *time.Timer
	interval time.Duration // while fast is false
	fast     atomic.Bool   // callers read for themselves: the interval is fastTick

	mu       sync.Mutex // held by a tick; guards what follows
	alive    keepalive
	stall    stallWatch
	loneSeen uint64 // reading.lone at the last tick
	loneIdle int    // ticks since loneSeen changed
}

// start begins to tick for a session, as its Config says.
func (t *ticker) start(s *Session) {
	cfg := &s.cfg
	t.interval = time.Second
	if cfg.KeepaliveIdle > 0 {
		t.interval = min(t.interval, cfg.KeepaliveIdle/2, cfg.KeepaliveTimeout/4)
	}
	t.interval = max(min(t.interval, cfg.WriteTimeout/4), fastTick)
	measured, _ := s.conn.(measuredConn)
	t.s = s
	t.alive = keepalive{idle: cfg.KeepaliveIdle, timeout: cfg.KeepaliveTimeout, longest: 2 * t.interval, conn: measured}
	t.stall = stallWatch{timeout: cfg.WriteTimeout}
	t.mu.Lock() // the first tick reads timer
	t.timer = time.AfterFunc(t.interval, t.tick)
	t.mu.Unlock()
}

// hurry makes the tick fast. Safe for concurrent use.
func (t *ticker) hurry() {
	if !t.fast.Load() && t.fast.CompareAndSwap(false, true) {
		t.timer.Reset(fastTick)
	}
}

// stop ends the ticks; one may still be under way.
func (t *ticker) stop() { t.timer.Stop() }

// tick runs on the goroutine of the timer. It never runs twice at a time: it sets
// its own timer, and hurry can only bring the next one forward.
func (t *ticker) tick() {
	s := t.s
	if s.Err() != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.watchLone()
	ping, err := t.alive.step(now, s.in.lastRead.Load(), s.out.unsent)
	if err != nil {
		s.fail(err)
		return
	}
	if ping {
		s.out.control(wire.MakeHeader(wire.TypePing, 0, 0, 8), make([]byte, 8))
	}
	if t.stall.stalled(now, s.out.writes.Load(), t.alive.conn) {
		s.fail(fmt.Errorf("the peer has not read for %v", s.cfg.WriteTimeout))
		return
	}
	next := fastTick
	if !t.fast.Load() {
		next = t.interval
		s.mem.settle()
		if s.life.inflight.Load() == 0 {
			s.out.dropBuffers()
		}
	}
	t.timer.Reset(next)
	if next != fastTick && t.fast.Load() { // hurry came in between, and its Reset is undone
		t.timer.Reset(fastTick)
	}
}

// watchLone looks at the caller that reads for itself, if one does. A call that
// has lasted since the last tick gives the reading role up, so that its caller
// can notice the end of its context. After five ticks without such calls the
// reader goroutine reads again, so that an idle session hears its peer. On a server it
// looks at the handler that the reader runs, if it runs one: another goroutine reads if
// that has lasted since the last tick.
func (t *ticker) watchLone() {
	s := t.s
	lone := s.reading.lone.Load()
	switch {
	case lone != t.loneSeen:
		t.loneSeen, t.loneIdle = lone, 0
	case lone%2 == 1 && s.server: // the same handler as at the last tick
		s.replaceReader(lone)
	case lone%2 == 1: // the same call as at the last tick
		s.in.interrupt()
	default:
		if t.loneIdle++; t.loneIdle < 5 {
			return
		}
		t.loneIdle = 0
		s.reading.want()
		t.fast.Store(false)
	}
}
