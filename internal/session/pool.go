package session

import "sync"

// maxIdle is how many goroutines a Pool keeps for the next handler.
const maxIdle = 256

// A Pool runs handlers on goroutines that are used again, because a grown
// stack is cheaper to keep than to grow. The zero value is ready to use.
type Pool struct {
	mu     sync.Mutex
	idle   []*worker
	closed bool
}

type worker struct{ next chan *Stream }

// run serves st on a goroutine of the pool.
func (p *Pool) run(st *Stream) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		w.next <- st
		return
	}
	p.mu.Unlock()
	w := &worker{next: make(chan *Stream, 1)}
	go w.loop(p, st)
}

func (w *worker) loop(p *Pool, st *Stream) {
	defer func() {
		if st != nil { // runtime.Goexit, as of a test that fails in a handler
			st.Finish(nil, false, exitStatus, nil)
		}
	}()
	for st != nil {
		st.serve()
		p.mu.Lock()
		if p.closed || len(p.idle) >= maxIdle {
			p.mu.Unlock()
			st = nil
			return
		}
		p.idle = append(p.idle, w)
		p.mu.Unlock()
		st = <-w.next
	}
}

// Close lets the idle goroutines end; those that run a handler end after it.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, w := range p.idle {
		close(w.next)
	}
	p.idle = nil
}
