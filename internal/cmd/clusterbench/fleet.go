//go:build unix

package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/faults"
	"github.com/rpcnet-go/rpcnet/internal/hook"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

var (
	ca    = sync.OnceValues(rpctest.NewDevCA)
	quiet = slog.New(slog.DiscardHandler)
)

// A ship is one node with its endpoint and what it has seen.
type ship struct {
	name  string
	ep    *rpcnet.Endpoint
	node  *cluster.Node
	watch chan struct{} // closed when the watch has ended

	detector func() string // how its partition detector stands

	mu     sync.Mutex
	events []cluster.Event
}

// A fleet is a cluster in this process whose network can be cut.
type fleet struct {
	net   faults.Network
	cfg   cluster.Config
	ships []*ship
	made  int
}

// fleets numbers the fleets of this process. Each is a cluster of its own name: a
// port that one has given up may become another's, which must not be joined by
// those who still dial it.
var fleets atomic.Int64

// emptyFleet makes a fleet without nodes.
func emptyFleet(cfg cluster.Config) *fleet {
	cfg.Cluster = fmt.Sprintf("clusterbench-%d", fleets.Add(1))
	return &fleet{cfg: cfg}
}

// newFleet makes n nodes, each joining through a random one before it, and
// waits until all see each other.
func newFleet(n int, cfg cluster.Config) (*fleet, error) {
	f := emptyFleet(cfg)
	for range n {
		if err := f.add(); err != nil {
			f.close()
			return nil, err
		}
	}
	if _, err := f.whole(time.Now(), 60*time.Second); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// add makes one node more.
func (f *fleet) add() error {
	s := &ship{name: fmt.Sprintf("n%03d", f.made)}
	f.made++
	authority, err := ca()
	if err != nil {
		return err
	}
	creds, err := authority.Credentials()
	if err != nil {
		return err
	}
	if s.ep, err = rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: quiet}); err != nil {
		return err
	}
	if err := f.join(s); err != nil {
		s.ep.Close()
		return err
	}
	f.ships = append(f.ships, s)
	return nil
}

// join makes a node on the ship's endpoint.
func (f *fleet) join(s *ship) error {
	cfg := f.cfg
	cfg.Name, cfg.Logger = s.name, quiet
	var others []*ship
	for _, o := range f.ships {
		if o != s {
			others = append(others, o)
		}
	}
	if len(others) > 0 {
		cfg.Seeds = []string{others[rand.N(len(others))].node.Self().Addr}
	}
	ctx := hook.WithDetector(f.net.Context(context.Background()), func(read func() string) { s.detector = read })
	node, err := cluster.Join(ctx, s.ep, &cfg)
	if err != nil {
		return err
	}
	s.node, s.watch = node, make(chan struct{})
	go func() {
		defer close(s.watch)
		for e := range node.Watch(context.Background()) {
			s.mu.Lock()
			s.events = append(s.events, e)
			s.mu.Unlock()
		}
	}()
	return nil
}

// kill ends a node as kill -9 does: silence, and closed ports.
func (f *fleet) kill(s *ship) {
	s.node.Close()
	s.ep.Close()
	for i, o := range f.ships {
		if o == s {
			f.ships = append(f.ships[:i:i], f.ships[i+1:]...)
		}
	}
}

func (f *fleet) close() {
	for _, s := range f.ships {
		s.node.Close()
		s.ep.Close()
		<-s.watch
	}
}

// whole waits until every node sees all alive and returns how long that took
// since start.
func (f *fleet) whole(start time.Time, limit time.Duration) (time.Duration, error) {
	partial := func(s *ship) bool {
		members, alive := s.node.Members(), 0
		for _, m := range members {
			if m.State == cluster.StateAlive || m.State == cluster.StateSuspect {
				alive++
			}
		}
		return alive != len(f.ships) || len(members) != alive
	}
	if !poll(limit, 2*time.Millisecond, func() bool { return !slices.ContainsFunc(f.ships, partial) }) {
		at := slices.DeleteFunc(slices.Clone(f.ships), func(s *ship) bool { return !partial(s) })
		if len(at) > 0 { // else it was at the last moment
			return 0, f.missed(limit, start, at, nil)
		}
	}
	return time.Since(start), nil
}

// everyone waits until each ship has an event that want accepts, after start,
// and returns how long each took. role says, of a ship that has none in time,
// what it should have; nil: the same of all.
func (f *fleet) everyone(start time.Time, limit time.Duration, want func(*ship, cluster.Event) bool, role func(*ship) string) ([]time.Duration, error) {
	var took []time.Duration
	left := slices.Clone(f.ships)
	waits := func(s *ship) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, e := range s.events {
			if e.Time.After(start) && want(s, e) {
				took = append(took, e.Time.Sub(start))
				return false
			}
		}
		return true
	}
	// Events carry their time, so that there is no hurry.
	if !poll(limit, 10*time.Millisecond, func() bool {
		for len(left) > 0 && !waits(left[0]) {
			left = left[1:]
		}
		return len(left) == 0
	}) {
		if left = slices.DeleteFunc(left, func(s *ship) bool { return !waits(s) }); len(left) > 0 {
			return nil, f.missed(limit, start, left, role)
		}
	}
	return took, nil
}

// count returns how many events since start want accepts.
func (f *fleet) count(start time.Time, want func(cluster.Event) bool) (n int) {
	for _, s := range f.ships {
		s.mu.Lock()
		for _, e := range s.events {
			if e.Time.After(start) && !e.Initial && want(e) {
				n++
			}
		}
		s.mu.Unlock()
	}
	return n
}

// side returns the addresses of the first k nodes.
func (f *fleet) side(k int) map[string]bool {
	s := map[string]bool{}
	for _, o := range f.ships[:k] {
		s[o.node.Self().Addr] = true
	}
	return s
}

// poll calls ok every so often until it is true, and reports whether that was
// before the limit.
func poll(limit, every time.Duration, ok func() bool) bool {
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(every) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
