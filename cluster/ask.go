package cluster

import "time"

const (
	// maxAskers is how many addresses are asked at once who answers there,
	// maxConflictAskers how many pairs of one name are compared at once.
	maxAskers         = 8
	maxConflictAskers = 4
	// maxAsks is how many addresses or pairs may wait. What is beyond it is
	// dropped: a member that is doubtful is asked for again when it answers a
	// probe.
	maxAsks = 4096
	// askInterval is the least time between two questions to one address, unless
	// the first has found somebody new.
	askInterval = time.Second
	// maxAskTries is how often an address that does not answer is asked again
	// for one reason.
	maxAskTries = 3
)

// A pool runs pieces of work on at most limit goroutines, the oldest first. They
// end when there is no more. All fields are guarded by the node's mu.
type pool struct {
	limit, busy int
	queue       []func()
}

// workOn gives a piece of work to a pool. The caller holds mu.
func (n *Node) workOn(p *pool, f func()) {
	if n.closing {
		return
	}
	p.queue = append(p.queue, f)
	if p.busy < p.limit {
		p.busy++
		n.work.Add(1)
		go n.workOff(p)
	}
}

func (n *Node) workOff(p *pool) {
	defer n.work.Done()
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(p.queue) > 0 && !n.closing {
		f := p.queue[0]
		p.queue = p.queue[1:]
		n.mu.Unlock()
		f()
		n.mu.Lock()
	}
	p.busy--
}

// A question is who answers at an address. It is guarded by the node's mu.
type question struct {
	pending bool      // waits or is being asked
	again   bool      // somebody wants to know since it was last asked
	tries   int       // without an answer
	ended   time.Time // when it was last asked
}

// ask asks who answers at an address, in the background, and settles what
// follows: at once, or when askInterval has passed since it was last asked in
// vain. The caller holds mu.
func (n *Node) ask(addr string) {
	q := n.questions[addr]
	switch {
	case q != nil:
		q.again = true
	case addr != n.advertise.String() && len(n.questions) < maxAsks:
		q = &question{}
		n.questions[addr] = q
		n.put(addr, q)
	}
}

func (n *Node) put(addr string, q *question) {
	q.pending = true
	n.workOn(&n.askers, func() {
		n.mu.Lock()
		q.again = false
		n.mu.Unlock()
		if !n.transport.Hearsay().Wait(n.stop) {
			return
		}
		got, err := n.transport.Identify(addr, n.cfg.Detection.StreamTimeout)
		n.mu.Lock()
		defer n.mu.Unlock()
		q.pending, q.ended = false, time.Now()
		if err != nil {
			q.tries++
			q.again = q.again || q.tries < maxAskTries
			return
		}
		again := q.again // since it was asked, not because of the answer
		if n.settle(addr, got, q.ended) && !again {
			delete(n.questions, addr) // the next to claim the address need not wait
		}
		q.again = again
		n.countStates()
		n.logEvents()
	})
}

// askAgain asks what is due. The run goroutine calls it at every tick.
func (n *Node) askAgain(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for addr, q := range n.questions {
		switch {
		case q.pending || now.Sub(q.ended) < askInterval:
		case q.again:
			n.put(addr, q)
		default:
			delete(n.questions, addr)
		}
	}
}
