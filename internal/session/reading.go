package session

import "sync/atomic"

// A reading is who reads the connection of a caller's session: the reader goroutine,
// or a caller that is alone on the session and waits for its response, so that the
// response does not wake another goroutine first.
//
// The role is held by one goroutine at a time; what is read with it belongs to the
// holder ([receiver]). The reader goroutine parks, without the role, when no call is
// in flight, and is woken by a caller that needs it to read, by the tick, or by the
// end of the session. On a server it never parks; another goroutine
// takes its place when it runs a handler that waits ([Session.serveAlone]).
//
// Invariant: while a call is in flight, the reader goroutine is not parked, or the
// call reads for itself, or its caller is about to call want.
type reading struct {
	// role is held while the connection is read.
	role role
	// parked: the reader goroutine waits for wake, or is about to. Who clears it owes
	// it a token.
	parked atomic.Bool
	// wake has room for one token, which wakes the reader goroutine.
	wake chan struct{}
	// lone counts beginnings and ends of calls that read for themselves and, on a server,
	// of those whose handlers the reader runs; it is odd during one.
	lone atomic.Uint64
}

// init prepares r. The reader goroutine does not run yet.
func (r *reading) init() { r.role, r.wake = make(role, 1), make(chan struct{}, 1) }

// want makes sure that the reader goroutine reads, or is about to.
func (r *reading) want() {
	if r.parked.Load() && r.parked.CompareAndSwap(true, false) {
		r.unpark()
	}
}

// unpark wakes the reader goroutine, which looks why.
func (r *reading) unpark() {
	select {
	case r.wake <- struct{}{}:
	default: // it will find a token
	}
}

// A role is held by one goroutine at a time. It is not a mutex because a goroutine
// that waits for it waits long: for a frame, which in a synctest bubble needs time
// to pass, and time does not pass there while a goroutine waits for a mutex.
type role chan struct{}

func (r role) lock()   { r <- struct{}{} }
func (r role) unlock() { <-r }

// tryLock takes the role if it is free, and reports whether it was.
func (r role) tryLock() bool {
	select {
	case r <- struct{}{}:
		return true
	default:
		return false
	}
}
