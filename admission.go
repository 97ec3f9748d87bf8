package rpcnet

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/budget"
	"github.com/rpcnet-go/rpcnet/internal/tlsconn"
)

const (
	// maxPending is the limit of connections in their handshake, or on the
	// way from there to a session. With few descriptors it is a quarter of them.
	maxPending = 512
	// pendingCost is what such a connection counts in the memory budget: two
	// goroutines and the buffers of TLS.
	pendingCost = 24 << 10
	// silence is how long a connection may say nothing when its place is wanted.
	// What a caller says first comes with the connection.
	silence = 100 * time.Millisecond
	// handshakePace is how long a handshake may take when its place is wanted.
	handshakePace = 2 * time.Second
	// pendingTick is how often somebody who waits for a place looks again.
	pendingTick = 5 * time.Millisecond
)

// An admission keeps the limit of connections that are no session yet. It is
// kept when a place is taken: an arrival that takes one waits until the connection that
// gives its place up is closed.
//
// Who says nothing gives way to who talks, and the source that has the most
// places to one that has fewer. So a crowd that comes from one address at once is
// served in turn, and strangers who connect and say nothing, or who come from one
// address, keep no other caller out.
type admission struct {
	max, reserve int // places; descriptors that are left for others
	descriptors  int // of the process, the limit
	memory       *budget.Budget
	running      *sync.WaitGroup // has one for each place
	freed        chan struct{}   // has a token when a place has become free

	mu       sync.Mutex
	closed   bool
	pending  []*arrival // oldest first
	sources  map[netip.Prefix]int
	refusals map[string]uint64 // connections that became no session, by reason
}

// An arrival is a connection that is no session yet. Its place is taken when the
// connection is accepted and given back in leave, as a session or closed.
type arrival struct {
	conn    net.Conn
	source  netip.Prefix
	account *budget.Account
	since   time.Time
	spoken  atomic.Bool // the client's first message has come
	givenUp bool        // its place was wanted; guarded by admission.mu
}

// newAdmission returns an admission for a process that may have so many
// descriptors open. It leaves an eighth of them, 256 at most, to everything
// else: connections to others, files.
func newAdmission(descriptors int, memory *budget.Budget, running *sync.WaitGroup) *admission {
	return &admission{
		max: max(1, min(maxPending, descriptors/4)), reserve: min(descriptors/8, 256), descriptors: descriptors,
		memory: memory, running: running, freed: make(chan struct{}, 1), sources: map[netip.Prefix]int{}, refusals: map[string]uint64{},
	}
}

// A refusal is why an admission does not take a connection.
type refusal string

// Error returns the reason.
func (r refusal) Error() string { return string(r) }

// The reasons.
const (
	errAdmissionClosed = refusal("the endpoint is closed")
	errDescriptors     = refusal("the process has no descriptors left but those that are reserved: raise its limit of open files")
)

// admit takes a place for c, and waits for one. It returns the connections that
// it gave up for that. With an error c has none and is the caller's to close.
func (a *admission) admit(ctx context.Context, c net.Conn) (n *arrival, victims []*arrival, err error) {
	n = &arrival{conn: c, source: tlsconn.SourceOf(c.RemoteAddr()), since: time.Now()}
	// The number of a new descriptor is the lowest that is free, so it tells how many are
	// in use.
	scarce := tlsconn.Descriptor(c) >= a.descriptors-a.reserve
	// One turn either takes a place, or gives one up and waits until it is free.
	for {
		a.mu.Lock()
		if a.closed || ctx.Err() != nil {
			a.mu.Unlock()
			return nil, victims, errAdmissionClosed
		}
		if len(a.pending) < a.max && !(scarce && victims == nil) {
			err = a.takeLocked(n)
			a.mu.Unlock()
			return n, victims, err
		}
		if scarce && len(a.pending) == 0 {
			a.mu.Unlock()
			return nil, victims, errDescriptors
		}
		v := a.victimLocked(n, scarce)
		if v != nil {
			v.givenUp = true
			a.countLocked(v.source, -1)
			victims = append(victims, v)
		}
		a.mu.Unlock()
		// The connection is closed outside of the lock: Close may wait.
		if v != nil {
			v.conn.Close() // its goroutine gives the place back
		}
		tick := time.NewTimer(pendingTick)
		select {
		case <-a.freed:
			scarce = false // and a descriptor
		case <-tick.C:
		case <-ctx.Done():
		}
		tick.Stop()
	}
}

// takeLocked takes a place and its memory for n. mu is held.
func (a *admission) takeLocked(n *arrival) error {
	n.account = a.memory.Open("address " + n.source.String())
	if err := n.account.Take(a.memory.Handshakes, pendingCost); err != nil {
		n.account.Close()
		return err
	}
	a.pending = append(a.pending, n)
	a.countLocked(n.source, 1)
	a.running.Add(1)
	return nil
}

// leave gives the place of a connection back: it is a session now, or closed.
func (a *admission) leave(n *arrival) {
	n.account.Give(a.memory.Handshakes, pendingCost)
	n.account.Close()
	a.mu.Lock()
	if i := slices.Index(a.pending, n); i >= 0 {
		a.pending = slices.Delete(a.pending, i, i+1)
	}
	if !n.givenUp {
		a.countLocked(n.source, -1)
	}
	a.mu.Unlock()
	// One token is enough: only the accept loop waits, and it looks at the table.
	select {
	case a.freed <- struct{}{}:
	default:
	}
	a.running.Done()
}

// countLocked adds n to the places of a source. mu is held.
func (a *admission) countLocked(source netip.Prefix, n int) {
	if a.sources[source] += n; a.sources[source] == 0 {
		delete(a.sources, source)
	}
}

// victimLocked returns the connection that is to give its place up for n, nil
// if n is to wait: until one has been silent for too long, or takes too long.
func (a *admission) victimLocked(n *arrival, scarce bool) *arrival {
	most := 0
	for _, count := range a.sources {
		most = max(most, count)
	}
	// A source that has fewer places than another may take one from it, even from a
	// connection that does nothing wrong.
	unfair := scarce || a.sources[n.source]+1 < most
	var slow, young *arrival
	for _, p := range a.pending {
		if p.givenUp || unfair && a.sources[p.source] < most {
			continue
		}
		age := time.Since(p.since)
		if !unfair && age <= silence {
			break // so are all that follow
		}
		switch {
		case !p.talks():
			return p
		case slow == nil && age > handshakePace:
			slow = p
		}
		young = p
	}
	if slow == nil && unfair {
		return young
	}
	return slow
}

// talks reports whether the client has said something that was not read yet, or
// all that it says first.
func (p *arrival) talks() bool { return p.spoken.Load() || tlsconn.Unread(p.conn) }

// wasGivenUp reports whether the place of a connection was wanted.
func (a *admission) wasGivenUp(n *arrival) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return n.givenUp
}

// relieve gives up the connection that is most easily done without, and reports
// whether there was one: there are no descriptors left to take another.
func (a *admission) relieve() *arrival {
	a.mu.Lock()
	v := a.victimLocked(&arrival{}, true)
	if v != nil {
		v.givenUp = true
		a.countLocked(v.source, -1)
	}
	a.mu.Unlock()
	if v != nil {
		v.conn.Close()
	}
	return v
}

// countRefusal counts a connection that became no session.
func (a *admission) countRefusal(reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refusals[reason]++
}

// refused returns how many connections became no session, by reason.
func (a *admission) refused() map[string]uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.refusals)
}

// count returns how many connections have a place.
func (a *admission) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.pending)
}

// close closes all connections that have a place, and admits no more.
func (a *admission) close() {
	a.mu.Lock()
	a.closed = true
	pending := slices.Clone(a.pending) // they take themselves out of the original
	a.mu.Unlock()
	for _, p := range pending {
		p.conn.Close()
	}
}
