package session

import (
	"fmt"
	"time"
)

// A keepalive decides when a silent peer is asked whether it is there, and when
// it is given up. It has no clock and sends nothing: step is given the time, and
// says what to do. Only the tick uses it, under the ticker's mutex.
//
//	heard --silent for idle--> asked --silent for timeout--> given up
//	asked --anything comes--> heard
//	asked, and the PING still moves towards the peer: the silence starts over at idle
//
// A peer is never given up without having been asked. Time in which this process
// did not run does not count: a step counts for at most two of its intervals.
type keepalive struct {
	idle    time.Duration // ask after so long; negative: never
	timeout time.Duration // give up after so long
	longest time.Duration // how much one step counts at most

	conn measuredConn // nil: the connection does not count bytes

	last     time.Time     // the last step
	silent   time.Duration // how long nothing has come, as far as it counts
	lastRead int64         // the time of the last read at the last step that heard something
	received uint64        // and the bytes that had come
	acked    uint64        // bytes that the peer's system has acknowledged, at the PING or later
	pingEnd  uint64        // bytes up to the end of the PING; 0: it waits in the buffer
}

// step looks at the peer at the time now. lastRead is the time of the last read of
// the connection that brought something; unsent reports whether frames wait to be written. step
// reports whether a PING is due, or returns why the peer is given up.
func (k *keepalive) step(now time.Time, lastRead int64, unsent func() bool) (ping bool, err error) {
	var passed time.Duration
	if !k.last.IsZero() {
		passed = min(now.Sub(k.last), k.longest)
	}
	k.last = now
	if k.idle < 0 {
		return false, nil
	}
	if k.heard(lastRead) {
		k.silent = 0
		return false, nil
	}
	before := k.silent
	if before >= k.idle && k.pingMoves(unsent) {
		k.silent = k.idle
		return false, nil
	}
	k.silent += passed
	switch {
	case k.silent >= k.timeout && before >= k.idle: // it was asked in an earlier step
		return false, fmt.Errorf("the peer has been silent for %v", k.timeout)
	case k.silent >= k.idle && before/k.idle != k.silent/k.idle: // asked again each time idle has passed once more
		if before < k.idle && k.conn != nil {
			k.pingEnd = 0
			_, k.acked = k.conn.Sent()
		}
		return true, nil
	}
	return false, nil
}

// heard reports whether anything has come since the last step. Bytes count from
// which the connection cannot make a whole record yet: on a slow link a record
// takes longer than the step.
func (k *keepalive) heard(lastRead int64) bool {
	received := k.received
	if k.conn != nil {
		received = k.conn.Received()
	}
	if lastRead == k.lastRead && received == k.received {
		return false
	}
	k.lastRead, k.received = lastRead, received
	return true
}

// pingMoves reports whether the PING of this silence has come nearer to the peer
// since the last step and has not arrived: on a slow link it waits behind what was
// sent before it. Acknowledgements of what was sent after the PING do not count:
// the system of a process that hangs acknowledges too.
func (k *keepalive) pingMoves(unsent func() bool) bool {
	if k.conn == nil {
		return false
	}
	waits := unsent() // before Sent: what is taken meanwhile would look like the PING's
	taken, acked := k.conn.Sent()
	if k.pingEnd == 0 && !waits {
		k.pingEnd = taken
	}
	moved := acked > k.acked
	k.acked = max(k.acked, acked)
	return moved && (k.pingEnd == 0 || acked < k.pingEnd)
}

// A stallWatch notices a peer that takes nothing of what is written to it. Only
// the tick uses it, under the ticker's mutex.
type stallWatch struct {
	timeout time.Duration // longest time without progress

	seq   uint64    // of the write that was under way at the last step
	acked uint64    // bytes acknowledged at since
	since time.Time // of the last progress
}

// stalled reports whether one write has been under way for longer than the timeout
// without progress. seq counts the beginnings and the ends of writes, so that it
// is odd during one. Acknowledged bytes are progress: on a slow link a write takes
// its time. conn is nil if the connection does not count bytes.
func (w *stallWatch) stalled(now time.Time, seq uint64, conn measuredConn) bool {
	writing := seq%2 == 1
	moved := seq != w.seq || !writing
	if conn != nil && writing {
		_, acked := conn.Sent()
		moved = moved || acked > w.acked
		w.acked = max(w.acked, acked)
	}
	if moved {
		w.seq, w.since = seq, now
		return false
	}
	return now.Sub(w.since) > w.timeout
}
