package gossip

import (
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// maxHellos is how many hellos are awaited at once, and maxHellosEach those of
	// one certificate, which a cluster may have for all its nodes.
	maxHellos     = 128
	maxHellosEach = maxHellos / 2
)

// A connSet holds what a transport has open: its connections, its goroutines, and
// what exchanges under way may take together. Its methods are safe for concurrent
// use. No method blocks but close.
//
// A connection is counted in pending from accept until its hello is done, and in
// states from the beginning of an exchange until it is closed. Both limits are in all
// and for each certificate: one with many connections leaves room for the others.
//
// A set is open, and then closed for good: nothing can be added to a closed one.
type connSet struct {
	done       chan struct{} // closed with the set
	once       sync.Once
	goroutines sync.WaitGroup

	mu      sync.Mutex // guards what follows, and the closing of done
	conns   map[*conn]struct{}
	pending Share // accepted, hello not done
	states  Share // nodes in exchanges under way
}

func newConnSet() connSet {
	return connSet{
		done: make(chan struct{}), conns: map[*conn]struct{}{},
		pending: NewShare(maxHellos, maxHellosEach), states: NewShare(maxStatesAtOnce, maxStates),
	}
}

// add adds a connection, so that close closes it. It fails with errClosed if the set is
// closed: the caller closes the connection then.
func (s *connSet) add(c *conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed() {
		return errClosed
	}
	s.conns[c] = struct{}{}
	return nil
}

// remove takes a connection out and gives back what it has taken of states. A
// second call does nothing.
func (s *connSet) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.states.Give(c.who, c.states)
	c.states = 0
}

// identify notes which node is at the other end of a connection, for drop.
func (s *connSet) identify(c *conn, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.id = id
}

// begin counts a hello that is awaited from the holder of a certificate, and
// reports whether there was room. end must follow.
func (s *connSet) begin(who string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.Take(who, 1)
}

// end is the reverse of begin.
func (s *connSet) end(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending.Give(who, 1)
}

// takeStates takes room for the nodes of an exchange on c until c is closed. It fails
// with errStreamOverrun if there is none, and with net.ErrClosed if c was closed
// meanwhile: nothing would give the room back.
func (s *connSet) takeStates(c *conn, nodes int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, open := s.conns[c]; !open {
		return net.ErrClosed
	}
	if !s.states.Take(c.who, nodes) {
		return errStreamOverrun
	}
	c.states = nodes
	return nil
}

// run runs f on a goroutine that close waits for, unless the set is closed.
func (s *connSet) run(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed() {
		s.goroutines.Go(f)
	}
}

// drop closes the connections of a node. They leave the set when memberlist, or the
// code that opened them, closes them in turn.
func (s *connSet) drop(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.id == id {
			c.Conn.Close()
		}
	}
}

// close closes all connections and returns when all goroutines have ended. It is
// idempotent.
func (s *connSet) close() {
	s.once.Do(func() {
		s.mu.Lock()
		close(s.done)
		open := s.conns
		s.conns = map[*conn]struct{}{}
		s.mu.Unlock()
		for c := range open {
			c.Conn.Close()
		}
		s.goroutines.Wait()
	})
}

// closed reports whether the set is closed. The caller holds mu.
func (s *connSet) closed() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// inUse returns how many hellos are awaited, and how many nodes are in exchanges, for
// metrics.
func (s *connSet) inUse() (hellos, states int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.InUse(), s.states.InUse()
}

// A conn is a stream that memberlist, or this package, reads and writes: a connection
// whose reads pass the guard. Close takes it out of the transport's set.
type conn struct {
	net.Conn
	t      *Transport
	who    string // the certificate at the other end; "" if it was dialled from here
	id     string // the node at the other end; immutable once the hello is done
	states int    // taken of the set's states; guarded by its mu
	guard  guard  // of what memberlist reads
}

// newConn returns a conn over raw. It is not in the set yet.
func newConn(t *Transport, raw net.Conn, who string) *conn {
	c := &conn{Conn: raw, t: t, who: who}
	c.guard = guard{r: raw, admit: c.admitStates, screen: c.screenState}
	return c
}

// admitStates returns an error if an exchange of so many nodes has no room beside
// the others, or if its sender may not say so much.
func (c *conn) admitStates(nodes int) error {
	err := errStreamOverrun
	if p := c.t.keys.peer(c.id); p != nil && p.work.Take(1+nodes/4, time.Now()) { // quicker to read than packets
		err = c.t.conns.takeStates(c, nodes)
	}
	if err == errStreamOverrun {
		c.t.cfg.Observer.Refused(StreamOverrun)
	}
	return err
}

// errStreamOverrun ends an exchange that has no room. memberlist at the other end tries
// again with its next exchange.
var errStreamOverrun = errors.New("gossip: too many nodes in exchanges at once: the other end tries again")

// screenState decides whether memberlist sees one node of an exchange.
func (c *conn) screenState(m message) (keep bool, err error) {
	// Over a stream a node passes on everything it knows, so that a message is
	// screened as in a packet: the word of one member about another.
	p, state := c.t.keys.peer(c.id), m["State"]
	if p == nil { // dropped meanwhile
		return false, net.ErrClosed
	}
	if state.kind != valueNumber || state.number > maxNodeState {
		return false, errState
	}
	if state.number == stateSuspect && c.t.screener.drops(m, "Name") {
		c.t.cfg.Observer.Refused(GossipLate)
		return false, nil
	}
	switch refused := c.t.screener.screenNews(p, m, "Name", state.number == 0, time.Now()); refused {
	case "":
		return true, nil
	case GossipAhead, GossipFlood: // may be hearsay: the rest of the exchange is good
		c.t.cfg.Observer.Refused(refused)
		return false, nil
	}
	return false, errState
}

// stateSuspect and maxNodeState are the second and the last of memberlist's states of a
// node: alive, suspect, dead and left.
const (
	stateSuspect = 1
	maxNodeState = 3
)

// Read reads what follows the hello, through the guard. What the guard refuses ends the
// stream and is counted.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.guard.Read(p)
	var bad *streamError
	if errors.As(err, &bad) {
		c.t.cfg.Observer.Refused(StreamMalformed)
	}
	return n, err
}

// SetDeadline sets the deadline for reads and writes, later if this node runs late.
func (c *conn) SetDeadline(at time.Time) error {
	if !at.IsZero() {
		now := time.Now()
		at = now.Add(c.t.cfg.Patience(at.Sub(now)))
	}
	return c.Conn.SetDeadline(at)
}

// Close closes the connection at once.
func (c *conn) Close() error {
	c.t.conns.remove(c)
	return c.Conn.Close()
}
