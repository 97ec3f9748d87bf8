package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/cluster/internal/faults"
)

var (
	ca    = sync.OnceValues(rpcnet.NewDevCA)
	quiet = slog.New(slog.DiscardHandler)
)

// A ship is one node with its endpoint and what it has seen.
type ship struct {
	name  string
	ep    *rpcnet.Endpoint
	node  *cluster.Node
	watch chan struct{} // closed when the watch has ended

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

// newFleet makes n nodes, each joining through a random one before it, and
// waits until all see each other.
func newFleet(n int, cfg cluster.Config) (*fleet, error) {
	f := &fleet{cfg: cfg}
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
	if s.ep, err = rpcnet.Listen("127.0.0.1:0", creds, rpcnet.WithLogger(quiet)); err != nil {
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
	node, err := cluster.Join(f.net.Context(context.Background()), s.ep, cfg)
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
	err := poll(limit, func() bool {
		for _, s := range f.ships {
			alive := 0
			for _, m := range s.node.Members() {
				if m.State == cluster.StateAlive || m.State == cluster.StateSuspect {
					alive++
				}
			}
			if alive != len(f.ships) || len(s.node.Members()) != alive {
				return false
			}
		}
		return true
	})
	return time.Since(start), err
}

// everyone waits until each ship has an event that want accepts, after start,
// and returns how long each took.
func (f *fleet) everyone(start time.Time, limit time.Duration, want func(*ship, cluster.Event) bool) ([]time.Duration, error) {
	took := make([]time.Duration, len(f.ships))
	err := poll(limit, func() bool {
		for i, s := range f.ships {
			if took[i] > 0 {
				continue
			}
			s.mu.Lock()
			for _, e := range s.events {
				if e.Time.After(start) && want(s, e) {
					took[i] = e.Time.Sub(start)
					break
				}
			}
			s.mu.Unlock()
			if took[i] == 0 {
				return false
			}
		}
		return true
	})
	return took, err
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

var errTimeout = fmt.Errorf("it did not happen in time")

func poll(limit time.Duration, ok func() bool) error {
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			return errTimeout
		}
	}
	return nil
}
