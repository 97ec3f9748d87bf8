package director

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/directorv1"
)

// A known worker was named by a director. The client calls known workers while no
// director names one. So none is forgotten because it failed, or because no director
// has named it for long: it only comes later in the order in which they are chosen
// ([Client.alternate]). The client's mu guards them.
type known struct {
	directorv1.Worker
	// at is when it was last named, or did well.
	at time.Time
	// failed is when it failed after that. Zero: it did not.
	failed time.Time
}

const (
	// knownFor is how long a worker is as good a choice as any other known. After
	// that it has probably been replaced, but can still be the only one.
	knownFor = 5 * time.Minute
	// maxKnown and maxFailed bound what is kept, and so the time that a call
	// can spend on workers that are gone.
	maxKnown  = 256
	maxFailed = 8
)

// learn notes which director has answered and which workers it has named.
func (c *Client) learn(director int, res *directorv1.GetWorkerResponse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = director
	// Alternates are known too: one of them can be all that is left.
	now := time.Now()
	for _, w := range res.Alternates {
		c.known[w.Name] = known{Worker: w, at: now}
	}
	c.known[res.Worker.Name] = known{Worker: res.Worker, at: now}
	if len(c.known) > maxKnown {
		c.forget(maxKnown, func(k known) time.Time { return k.at })
	}
}

// did notes how a call on a life of a worker ended. The caller holds mu.
func (c *Client) did(w *directorv1.Worker, well bool) {
	k, ok := c.known[w.Name]
	if !ok || k.Boot != w.Boot {
		return // a later life of it is known, of which this says nothing
	}
	now := time.Now()
	switch {
	// Few failed ones are kept: each costs a call that comes to it an attempt.
	case !well:
		k.failed = now
		c.known[w.Name] = k
		c.forget(maxFailed, func(k known) time.Time { return k.failed })
	// What is known already is not written again by each call that does well.
	case !k.failed.IsZero() || now.Sub(k.at) > knownFor/2:
		k.at, k.failed = now, time.Time{}
		c.known[w.Name] = k
	}
}

// forget keeps the most latest by the given time, of those that have one. The
// caller holds mu.
func (c *Client) forget(most int, by func(known) time.Time) {
	for {
		n, oldest := 0, ""
		for name, k := range c.known {
			if by(k).IsZero() {
				continue
			}
			// The maps are small, at most maxKnown and a few more, and mostly one is
			// deleted: a pass for each is cheaper than an order that is kept.
			if n++; oldest == "" || by(k).Before(by(c.known[oldest])) {
				oldest = name
			}
		}
		if n <= most {
			return
		}
		delete(c.known, oldest)
	}
}

// alternate returns a known worker that is not excluded. It takes a random one of
// those that a director has named lately, or that have done well lately; then the one
// that was named last; then, if failed ones are allowed, the one that failed the
// longest ago. It returns false if there is none.
func (c *Client) alternate(exclude []string, allowFailed bool) (directorv1.Worker, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var good []directorv1.Worker
	var old, bad known
	for name, k := range c.known {
		switch {
		case slices.Contains(exclude, name):
		case !k.failed.IsZero():
			if bad.Name == "" || k.failed.Before(bad.failed) {
				bad = k
			}
		case time.Since(k.at) < knownFor:
			good = append(good, k.Worker)
		case k.at.After(old.at):
			old = k
		}
	}
	switch {
	case len(good) > 0:
		return good[rand.IntN(len(good))], true
	case old.Name != "":
		return old.Worker, true
	case bad.Name != "" && allowFailed:
		return bad.Worker, true
	}
	return directorv1.Worker{}, false
}
