package director

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/directorv1"
)

// Known workers are those a client has heard of. They are what it has when no
// director names one, and so none is forgotten because it failed or was not
// heard of for long: it is only the later choice.

// A known worker was named by a director.
type known struct {
	directorv1.Worker
	at     time.Time // it was named, or did well
	failed time.Time // zero: not since
}

const (
	// knownFor is how long a worker is as good a choice as any other known.
	knownFor = 5 * time.Minute
	// maxKnown and maxFailed bound what is kept, and so the time that a call
	// can spend on workers that are gone.
	maxKnown  = 256
	maxFailed = 8
)

// learn remembers who has answered and which workers there are.
func (c *Client) learn(director int, res *directorv1.GetWorkerResponse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = director
	now := time.Now()
	for _, w := range append(slices.Clone(res.Alternates), res.Worker) {
		c.known[w.Name] = known{Worker: w, at: now}
	}
	if len(c.known) > maxKnown {
		c.forget(maxKnown, func(k known) time.Time { return k.at })
	}
}

// did notes how a call on a life of a worker ended. The caller holds mu.
func (c *Client) did(w *directorv1.Worker, well bool) {
	k, ok := c.known[w.Name]
	if !ok || k.Boot != w.Boot {
		return
	}
	now := time.Now()
	switch {
	case !well:
		k.failed = now
		c.known[w.Name] = k
		c.forget(maxFailed, func(k known) time.Time { return k.failed })
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

// alternate returns a worker heard of that is not excluded: any of those that
// are as good as others, then the one heard of last, then, if failed ones are
// allowed, the one whose failure is the longest ago.
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
