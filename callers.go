package rpcnet

import (
	"fmt"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/session"
)

// callers are the sessions of an endpoint's callers. The goroutine of a connection calls
// begin and add for its session, and the session calls ended, which can come before
// add. Shutdown and Close run on other goroutines: refuse and close stop new
// sessions, and when starting is done, all returns every session that was let in.
type callers struct {
	limit    int            // sessions of one peer
	starting sync.WaitGroup // sessions that have begun and are not in sessions yet

	mu       sync.Mutex                       // guards what follows
	refusing bool                             // the endpoint drains: no session begins
	closed   bool                             // the endpoint is closed: no session is added
	sessions map[*session.Session]*time.Timer // with what ends them when their certificate expires
	perPeer  map[string]int                   // sessions, also those that begin, by Peer.key
}

// init sets the limit of sessions of one peer.
func (c *callers) init(limit int) {
	c.limit, c.sessions, c.perPeer = limit, map[*session.Session]*time.Timer{}, map[string]int{}
}

// begin notes a session of a peer that begins, until ended, unless the endpoint
// drains or the peer has as many as it may. A session that has begun is drained with
// the others, since its peer may have made calls already: starting has one for it,
// which the caller takes off.
func (c *callers) begin(peer *Peer) error {
	key := peer.key()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusing {
		return errServerDrains
	}
	if c.perPeer[key] >= c.limit {
		return fmt.Errorf("the peer has %d sessions already: see rpcnet.EndpointConfig.PeerSessions", c.limit)
	}
	// Both are undone by ended and by the caller, also if the session never starts.
	c.perPeer[key]++
	c.starting.Add(1)
	return nil
}

// add keeps a session that has begun, with what is to happen at the expiry of its
// certificate. It returns false if the endpoint is closed.
func (c *callers) add(s *session.Session, expiry time.Time, expire func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Without this test a session that has ended would stay for ever, since ended is
	// called once.
	if s.Err() == nil {
		var t *time.Timer
		if expire != nil {
			t = time.AfterFunc(time.Until(expiry), expire)
		}
		c.sessions[s] = t
	}
	return !c.closed
}

// ended notes the end of a session that has begun; s is nil if it was not added. The
// session calls it once, from its own goroutine, so its peer's place is free when the
// last of it has ended, and not before.
func (c *callers) ended(s *session.Session, peer *Peer) {
	key := peer.key()
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.sessions[s]; t != nil {
		t.Stop()
	}
	delete(c.sessions, s)
	if c.perPeer[key]--; c.perPeer[key] == 0 {
		delete(c.perPeer, key)
	}
}

// refuse lets no more sessions begin. Those that have begun go on, and are drained.
func (c *callers) refuse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusing = true
}

// all returns the sessions, in a slice of the caller's: what is done with a session
// can block, and is done without mu.
func (c *callers) all() []*session.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.allLocked()
}

// close lets no more sessions begin or be added, and returns those there are.
func (c *callers) close() []*session.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusing, c.closed = true, true
	return c.allLocked()
}

// allLocked returns the sessions. mu is held.
func (c *callers) allLocked() []*session.Session {
	all := make([]*session.Session, 0, len(c.sessions))
	for s := range c.sessions {
		all = append(all, s)
	}
	return all
}
