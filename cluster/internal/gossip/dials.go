package gossip

import (
	"net"
	"sync"
	"time"
)

const (
	// fetchInterval is the least time between two attempts to learn the key of
	// the node at one address.
	fetchInterval = time.Second
	// maxDials is of how many addresses a dialLog keeps when and how they were
	// dialled.
	maxDials = 4096
)

// hearsayRate is how many connections a node opens because of what others say:
// to learn which node is at an address, whether one that is said to be dead lives,
// or a key. A newcomer to a cluster of 1 000 nodes that asks each is done in 3 s.
var hearsayRate = Rate{PerSecond: 200, Burst: 400}

// A dialLog keeps how the last dials ended, and limits those that others cause. Each
// of its maps is emptied when it is full: what it held is learned again, at worst by a
// dial too many. Its methods are safe for concurrent use.
type dialLog struct {
	hearsay Bucket // connections because of what others say; a lock of its own

	mu       sync.Mutex           // guards what follows
	fetched  map[string]time.Time // last attempts to learn keys, by address
	failed   map[string]error     // how the last dial of an address failed
	answered map[string]string    // which node answered there last
	selves   map[string]bool      // far ends of connections from this transport to itself
}

func newDialLog() dialLog {
	return dialLog{
		hearsay: Bucket{Rate: hearsayRate},
		fetched: map[string]time.Time{}, failed: map[string]error{}, answered: map[string]string{}, selves: map[string]bool{},
	}
}

// put sets an entry of one of the maps, which it empties if it is full.
func put[V any](m map[string]V, key string, v V, limit int) {
	if len(m) >= limit {
		clear(m)
	}
	m[key] = v
}

// note notes how a dial has ended: either the node id answered, or err says why none
// did. After a failure, answeredAt still returns the node of the last success.
func (l *dialLog) note(addr, id string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		put(l.failed, addr, err, maxDials)
		return
	}
	delete(l.failed, addr)
	put(l.answered, addr, id, maxDials)
}

// failure returns why the last dial of an address failed; nil if it did not.
func (l *dialLog) failure(addr string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed[addr]
}

// answeredAt returns the node that answered at the last successful dial of an
// address; "" if there was none.
func (l *dialLog) answeredAt(addr string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answered[addr]
}

// mayFetch reports whether it is time to learn the key of the node at an address:
// at most once in fetchInterval, and within the limit of what others cause.
func (l *dialLog) mayFetch(addr string, now time.Time) bool {
	l.mu.Lock()
	recent := now.Sub(l.fetched[addr]) < fetchInterval
	if !recent {
		put(l.fetched, addr, now, maxDials)
	}
	l.mu.Unlock()
	// In this order: what comes too soon takes nothing from the limit.
	return !recent && l.hearsay.Take(1, now)
}

// noteSelf notes that the connection at whose other end addr is comes from this
// transport: the side that dialled gets no answer, and asks isSelf.
func (l *dialLog) noteSelf(addr net.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	put(l.selves, addr.String(), true, maxHellos)
}

// isSelf reports whether the connection at whose near end addr is was accepted by
// this transport. It answers true once.
func (l *dialLog) isSelf(addr net.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer delete(l.selves, addr.String())
	return l.selves[addr.String()]
}

// size returns of how many addresses something is kept.
func (l *dialLog) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(len(l.failed), len(l.fetched), len(l.answered))
}
