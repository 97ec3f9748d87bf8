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
// not run does not count, nor does time in which the question is on its way.
func (s *Session) tickKeepalive(now time.Time) error {
	passed := now.Sub(s.ticked)
	if s.ticked.IsZero() {
		passed = 0
	}
	s.ticked = now
	if s.cfg.KeepaliveIdle < 0 {
		return nil
	}
	if s.heard() {
		s.silent = 0
		return nil
	}
	before := s.silent
	if before >= s.cfg.KeepaliveIdle && s.pingMoves() {
		s.silent = s.cfg.KeepaliveIdle
		return nil
	}
	s.silent += min(passed, 2*s.tickInterval())
	switch {
	case s.silent >= s.cfg.KeepaliveTimeout && before >= s.cfg.KeepaliveIdle:
		return fmt.Errorf("the peer has been silent for %v", s.cfg.KeepaliveTimeout)
	case s.silent >= s.cfg.KeepaliveIdle && before/s.cfg.KeepaliveIdle != s.silent/s.cfg.KeepaliveIdle:
		if before < s.cfg.KeepaliveIdle && s.measured != nil {
			s.pingEnd = 0
			_, s.acked = s.measured.Sent()
		}
		s.control(wire.MakeHeader(wire.TypePing, 0, 0, 8), make([]byte, 8))
	}
	return nil
}

// heard reports whether anything has come since the last tick: also a part of
// what the lane can read as a whole only.
func (s *Session) heard() bool {
	last, in := s.lastRecv.Load(), s.silentIn
	if s.measured != nil {
		in = s.measured.Received()
	}
	if last == s.silentRecv && in == s.silentIn {
		return false
	}
	s.silentRecv, s.silentIn = last, in
	return true
}

// pingMoves reports whether the PING of this silence has come nearer to the peer
// since the last tick, and is not there yet: on a slow link it waits behind what
// was sent before it. The peer's system acknowledges also what a process does not
// read that hangs, so nothing counts that is acknowledged after the PING.
func (s *Session) pingMoves() bool {
	if s.measured == nil {
		return false
	}
	s.wmu.Lock()
	waits := s.writing || len(s.wbuf) > 0
	s.wmu.Unlock()
	taken, acked := s.measured.Sent()
	if s.pingEnd == 0 && !waits {
		s.pingEnd = taken
	}
	moved := acked > s.acked
	s.acked = max(s.acked, acked)
	return moved && (s.pingEnd == 0 || acked < s.pingEnd)
}
