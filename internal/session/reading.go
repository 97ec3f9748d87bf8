package session

import "sync/atomic"

// A reading is who reads the connection of a caller's session: the reader goroutine,
// or a caller that is alone on the session and waits for its response, so that the
// response does not wake another goroutine first.
//
// The role is held by one goroutine at a time; what is read with it belongs to the
// holder ([receiver]). The reader goroutine parks, without the role, when no call is
// in flight, and is woken by whoever needs it to read. On a server it never parks.
type reading struct {
	role   role
	parked atomic.Bool   // the reader goroutine waits for wake
	wake   chan struct{} // a token wakes the reader goroutine
	lone   atomic.Uint64 // counts beginnings and ends of calls that read for themselves; odd during one
}

func (r *reading) init() { r.role, r.wake = make(role, 1), make(chan struct{}, 1) }

// want makes sure that the reader goroutine reads, or is about to.
func (r *reading) want() {
	if r.parked.Load() && r.parked.CompareAndSwap(true, false) {
		r.unpark()
	}
}

// unpark wakes the reader goroutine.
func (r *reading) unpark() {
	select {
	case r.wake <- struct{}{}:
	default: // it will find a token
	}
}

// A role is held by one goroutine at a time. It is not a mutex because whoever
// waits for it waits long: for a frame, which in a synctest bubble may need time
// to pass.
type role chan struct{}

func (r role) lock()   { r <- struct{}{} }
func (r role) unlock() { <-r }

func (r role) tryLock() bool {
	select {
	case r <- struct{}{}:
		return true
	default:
		return false
	}
}
