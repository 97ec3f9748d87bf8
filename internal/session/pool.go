package session

import "sync"

// maxIdle is how many goroutines a Pool keeps for the next handler. More run when
// more handlers do, and end with them.
const maxIdle = 256

// A Pool runs handlers on goroutines that are used again, because a grown
// stack is cheaper to keep than to grow. The zero value is ready to use. All
// methods are safe for concurrent use.
//
// Streams wait in a queue. While it is not empty one goroutine is on its way to
// it; the one that takes a stream sends the next on its way before it runs the
// handler. So a handler that waits holds up no other, and handlers that do not
// wait run one after another on a goroutine that need not be woken for each.
//
// Invariant: while the queue is not empty, coming is true or some goroutine holds
// mu and is about to set it.
type Pool struct {
	mu     sync.Mutex
	queue  []*Stream // from next on
	next   int       // the first that waits; those before it are nil
	coming bool      // a goroutine is on its way to the queue
	idle   []*worker // goroutines that wait; the last came last, and its stack is warmest
	closed bool      // idle goroutines end
}

// A worker is one goroutine of a pool. A token in wake sends it to the queue.
type worker struct{ wake chan struct{} }

// run serves st on a goroutine of the pool. It does not wait for the handler.
func (p *Pool) run(st *Stream) {
	p.mu.Lock()
	if p.next > 0 && len(p.queue) == cap(p.queue) { // the front is free again: shift in place of growing
		n := copy(p.queue, p.queue[p.next:])
		clear(p.queue[n:])
		p.queue, p.next = p.queue[:n], 0
	}
	p.queue = append(p.queue, st)
	p.summonUnlock()
}

// summonUnlock sends a goroutine on its way if the queue needs one, and unlocks mu.
func (p *Pool) summonUnlock() {
	if p.coming || p.next == len(p.queue) {
		p.mu.Unlock()
		return
	}
	p.coming = true
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		w.wake <- struct{}{} // has room: an idle one has no token
		return
	}
	p.mu.Unlock()
	go (&worker{wake: make(chan struct{}, 1)}).loop(p)
}

// loop serves streams until the pool has enough idle goroutines, or is closed. It runs
// on a goroutine of its own, which was counted as coming.
func (w *worker) loop(p *Pool) {
	var st *Stream
	defer func() {
		if st != nil { // runtime.Goexit, as of a test that fails in a handler
			st.Finish(nil, false, exitStatus)
		}
	}()
	p.mu.Lock()
	p.coming = false
	for {
		if p.next < len(p.queue) {
			st = p.take()
			p.summonUnlock()
			st.s.woken.n.Add(-1)
			st.serve()
			st = nil // it is another call's
			p.mu.Lock()
			continue
		}
		if !w.restLocked(p) {
			p.mu.Unlock()
			return
		}
	}
}

// restLocked waits for streams, and reports false if the pool needs w no longer. mu is held
// before and after, not during.
func (w *worker) restLocked(p *Pool) bool {
	if p.closed || len(p.idle) >= maxIdle {
		return false
	}
	p.idle = append(p.idle, w)
	p.mu.Unlock()
	_, sent := <-w.wake // closed: Close
	p.mu.Lock()
	if sent {
		p.coming = false
	}
	return true
}

// take returns the first stream of the queue, which has one. mu is held.
func (p *Pool) take() *Stream {
	st := p.queue[p.next]
	p.queue[p.next] = nil
	if p.next++; p.next == len(p.queue) {
		p.queue, p.next = p.queue[:0], 0
	}
	return st
}

// Close lets the idle goroutines end; those that run a handler end after it. It
// must be called once, and does not wait.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, w := range p.idle {
		close(w.wake)
	}
	p.idle = nil
}
