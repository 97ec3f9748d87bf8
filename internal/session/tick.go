package session

import (
	"fmt"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// fastTick is the interval of the tick while callers read for themselves:
// what such a call may take to notice that its context has ended.
const fastTick = 10 * time.Millisecond

// tickInterval is the interval of the tick otherwise.
func (s *Session) tickInterval() time.Duration {
	d := time.Second
	if i := s.cfg.KeepaliveIdle; i > 0 {
		d = min(d, i/2, s.cfg.KeepaliveTimeout/4)
	}
	return max(min(d, s.cfg.WriteTimeout/4), fastTick)
}

// hurryTick makes the tick fast.
func (s *Session) hurryTick() {
	if !s.fast.Load() && s.fast.CompareAndSwap(false, true) {
		s.timer.Reset(fastTick)
	}
}

// tick looks after what has no goroutine of its own: a lone caller that takes
// long, a reader that has been parked for long, keepalive, a stalled write,
// buffers of an idle session. It never runs twice at a time: it sets its own
// timer, and hurryTick can only bring the next one forward.
func (s *Session) tick() {
	if s.Err() != nil {
		return
	}
	s.tickMu.Lock()
	defer s.tickMu.Unlock()
	now := time.Now()
	s.tickRole()
	if err := s.tickKeepalive(now); err != nil {
		s.fail(err)
		return
	}
	if s.writeStalled(now) {
		s.fail(fmt.Errorf("the peer has not read for %v", s.cfg.WriteTimeout))
		return
	}
	interval := fastTick
	if !s.fast.Load() {
		interval = s.tickInterval()
		s.settle()
		if s.inflight.Load() == 0 {
			s.wmu.Lock()
			s.dropBuffersLocked()
			s.wmu.Unlock()
		}
	}
	s.timer.Reset(interval)
	if interval != fastTick && s.fast.Load() { // meanwhile
		s.timer.Reset(fastTick)
	}
}

// tickRole looks at who reads.
func (s *Session) tickRole() {
	lone := s.lone.Load()
	switch {
	case lone != s.loneSeen:
		s.loneSeen, s.loneIdle = lone, 0
	case lone%2 == 1: // the same call as at the last tick
		s.interruptLone()
	default:
		if s.loneIdle++; s.loneIdle < 5 {
			return
		}
		s.loneIdle = 0
		s.wantReader()
		s.fast.Store(false)
	}
}

// tickKeepalive asks a silent peer whether it is there, and gives it up after
// the time-out, but not without having asked. Time in which this process did
// not run does not count.
func (s *Session) tickKeepalive(now time.Time) error {
	passed := now.Sub(s.ticked)
	if s.ticked.IsZero() {
		passed = 0
	}
	s.ticked = now
	if s.cfg.KeepaliveIdle < 0 {
		return nil
	}
	if last := s.lastRecv.Load(); last != s.silentRecv {
		s.silentRecv, s.silent = last, 0
		return nil
	}
	before := s.silent
	s.silent += min(passed, 2*s.tickInterval())
	switch {
	case s.silent >= s.cfg.KeepaliveTimeout && before >= s.cfg.KeepaliveIdle:
		return fmt.Errorf("the peer has been silent for %v", s.cfg.KeepaliveTimeout)
	case s.silent >= s.cfg.KeepaliveIdle && before/s.cfg.KeepaliveIdle != s.silent/s.cfg.KeepaliveIdle:
		s.control(wire.MakeHeader(wire.TypePing, 0, 0, 8), make([]byte, 8))
	}
	return nil
}
