package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
)

// Whether others can reach this node, and this node them, at the addresses that
// each tells: what only a change of the configuration mends is said once, as a
// warning, with what to set.

// maxWarned is of how many things that others may cause a node warns.
const maxWarned = 64

// warnings keeps what was said. Its lock is a leaf.
type warnings struct {
	mu   sync.Mutex
	said map[string]bool
}

// first reports whether something has not been said.
func (w *warnings) first(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.said[key] || len(w.said) >= maxWarned {
		return false
	}
	if w.said == nil {
		w.said = map[string]bool{}
	}
	w.said[key] = true
	return true
}

// warnOnce logs a warning about the configuration once for each key. The caller
// does not hold mu.
func (n *Node) warnOnce(key, msg string, args ...any) {
	if n.warned.first(key) {
		n.lines.Log(slog.LevelWarn, key, msg, args...)
	}
}

// checkSelf dials this node at the address that it advertises, as the others
// will. That it does not lead back is no mistake, behind address translation.
func (n *Node) checkSelf() {
	addr := n.advertise.String()
	got, err := n.transport.Identify(addr, n.cfg.Detection.StreamTimeout)
	var claim *gossip.ClaimError
	if errors.As(err, &claim) {
		got, err = claim.ID, nil
	}
	if err == nil {
		n.warnOnce("self", "another node answers at the address that this one advertises: set cluster.Config.Advertise to an address "+
			"at which the others reach this node", "advertised", addr, "answers", got)
	}
}

// compareRoute warns if the route to a seed leaves from another address than the
// one that was guessed.
func (n *Node) compareRoute(seed string) {
	if !n.guessed {
		return
	}
	if from, ok := routeTo(seed); ok && from != n.advertise.Addr() && !from.IsLoopback() {
		n.warnOnce("route", "this node advertises an address that was guessed, since no seed could be looked up when it started, and "+
			"its route to a seed leaves from another: set cluster.Config.Advertise", "advertised", n.advertise, "seed", seed, "leaves from", from)
	}
}

// elsewhere is called when a node that is not in the view has said that it is at
// another address than the other end of its connection: it may be right, behind
// address translation or with several networks. Whoever answers there decides.
func (n *Node) elsewhere(id string, addr netip.AddrPort, end string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.askers.queue) >= maxAsks {
		return
	}
	n.workOn(&n.askers, func() {
		if !n.transport.Hearsay().Wait(n.stop) {
			return
		}
		got, err := n.transport.Identify(addr.String(), n.cfg.Detection.StreamTimeout)
		switch {
		case err == nil && got == id:
			return
		case errors.Is(err, gossip.ErrSelf):
			err = errors.New("this node itself answers there")
		case err == nil:
			err = fmt.Errorf("%s answers there", got)
		case errors.Is(err, context.Canceled):
			return
		}
		n.warnOnce("elsewhere "+id, "a node cannot be reached at the address that it advertises: set cluster.Config.Advertise of that node "+
			"to an address at which the others reach it", "node", id, "advertises", addr, "comes from", end, "err", err)
	})
}

// checkFamilies warns of members to whose family of addresses no packet can be
// sent from the address that the endpoint is bound to.
func (n *Node) checkFamilies() {
	var other []Member
	n.mu.Lock()
	for _, m := range n.members {
		if !m.familyChecked && !m.hidden && m.State.Present() {
			m.familyChecked = true
			if !n.sendsTo(m.Addr) {
				other = append(other, m.Member)
			}
		}
	}
	n.mu.Unlock()
	for _, m := range other {
		n.warnOnce("family "+m.ID(), "no packet can be sent to a member, because its address is not of the family of the one that this node listens on: "+
			"changes will spread slowly. Let both listen on addresses of one family, or this node on [::], which takes both",
			"member", m.ID(), "address", m.Addr, "listens on", n.ep.Addr())
	}
}

// sendsTo reports whether the endpoint's socket can send to an address.
func (n *Node) sendsTo(addr string) bool {
	to, err := netip.ParseAddrPort(addr)
	bound, boundErr := netip.ParseAddrPort(n.ep.Addr().String())
	if err != nil || boundErr != nil {
		return true
	}
	if ip := bound.Addr().Unmap(); ip.Is4() || !ip.IsUnspecified() {
		return ip.Is4() == to.Addr().Unmap().Is4()
	}
	return true
}

// streamsOnly are the members that have answered over a stream and not by packets
// of late. Its lock is a leaf.
type streamsOnly struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (s *streamsOnly) add(id string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || len(s.last) >= maxMembers {
		s.last = map[string]time.Time{}
	}
	s.last[id] = now
}

func (s *streamsOnly) has(id string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.last[id]
	return ok && now.Sub(last) < time.Minute
}

// maxStreamed is how many members a node that leaves tells so over streams.
const maxStreamed = 16

// tellByStream exchanges state with those members that packets do not reach, so
// that they hear what the others are told by packets. It waits for them, for
// StreamTimeout at most, and no longer than ctx and the node last.
func (n *Node) tellByStream(ctx context.Context) {
	now := time.Now()
	var all sync.WaitGroup
	told := 0
	for _, m := range n.Members() {
		if m.ID() == n.id || n.sendsTo(m.Addr) && !n.byStream.has(m.ID(), now) || told == maxStreamed {
			continue
		}
		told++
		all.Go(func() { n.exchange(m.ID(), m.Addr) })
	}
	if told == 0 {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		all.Wait()
	}()
	t := time.NewTimer(n.cfg.Detection.StreamTimeout)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-ctx.Done():
	case <-n.stop:
	}
}

// withoutZone returns an address without the zone of IPv6, which means nothing
// to others.
func withoutZone(addr string) string {
	a, err := netip.ParseAddrPort(addr)
	if err != nil || a.Addr().Zone() == "" {
		return addr
	}
	return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port()).String()
}
