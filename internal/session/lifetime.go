package session

import (
	"sync"
	"sync/atomic"
)

// A lifetime is how far a session has come: it runs, it drains, it has ended.
// It counts the streams in flight, since a session that drains waits for them.
// All methods are safe for concurrent use and take no lock that others hold.
//
//	running --Drain--> draining --no stream left--> idle
//	running, draining, idle --fail--> ended
type lifetime struct {
	// inflight counts streams: on a caller's side those whose STATUS has not
	// come, on a server those whose handler has not finished.
	inflight atomic.Int64
	draining atomic.Bool

	// drained is closed when this side drains.
	drained chan struct{}
	// away is closed when the peer has said GOAWAY.
	away chan struct{}
	// idle is closed when a draining session has no stream left, and at the end.
	idle chan struct{}
	// ended is closed at the end. err is why: it is written before ended is closed, and
	// read after it.
	ended chan struct{}
	err   error

	drainOnce, awayOnce, idleOnce, endOnce sync.Once
}

// init prepares l for a session that begins.
func (l *lifetime) init() {
	l.drained, l.away = make(chan struct{}), make(chan struct{})
	l.idle, l.ended = make(chan struct{}), make(chan struct{})
}

// Err returns why the session ended, or nil while it lives.
func (l *lifetime) Err() error {
	select {
	case <-l.ended:
		return l.err
	default:
		return nil
	}
}

// begin counts one more stream and returns how many there are. It reports false,
// and counts nothing, if the session drains.
func (l *lifetime) begin() (n int64, ok bool) {
	n = l.inflight.Add(1)
	// The order matters: drain sets draining before checkIdle looks at inflight.
	// So either this call sees draining, or checkIdle sees the stream.
	if l.draining.Load() {
		l.inflight.Add(-1)
		l.checkIdle()
		return 0, false
	}
	return n, true
}

// over counts one stream less and returns how many are left. checkIdle must
// follow, as soon as the peer can know of the stream's end.
func (l *lifetime) over() (left int64) { return l.inflight.Add(-1) }

// drain makes the session refuse new streams and runs announce, once.
func (l *lifetime) drain(announce func()) {
	l.drainOnce.Do(func() {
		l.draining.Store(true)
		close(l.drained)
		announce()
		l.checkIdle()
	})
}

// checkIdle closes idle when a draining session has no stream left.
func (l *lifetime) checkIdle() {
	if l.draining.Load() && l.inflight.Load() == 0 {
		l.setIdle()
	}
}

// setIdle closes idle.
func (l *lifetime) setIdle() { l.idleOnce.Do(func() { close(l.idle) }) }

// peerLeaves notes that the peer wants no new streams.
func (l *lifetime) peerLeaves() { l.awayOnce.Do(func() { close(l.away) }) }

// end ends the session because of err and runs cut, once. Who calls it while
// another ends the session waits until cut has returned.
func (l *lifetime) end(err error, cut func()) {
	l.endOnce.Do(func() {
		l.err = err
		close(l.ended)
		cut()
	})
}
