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

const (
	// maxWarned is of how many things that others may cause a node warns.
	maxWarned = 64
	// byStreamFor is how long a member that has answered over a stream and not by
	// packets is taken for one that packets do not reach.
	byStreamFor = time.Minute
	// maxStreamed is how many members a node that leaves tells so over streams.
	maxStreamed = 16
)

// A reachability knows whether others can reach this node, and this node them, at the
// addresses that each advertises. What only a change of the configuration mends is
// logged once, as a warning, with what to set.
type reachability struct {
	n       *Node
	guessed bool // the address that the node advertises is a guess; immutable

	mu          sync.Mutex // guards what follows; a leaf
	said        map[string]bool
	packetsLost bool                 // which has been logged
	byStream    map[string]time.Time // members that answered over a stream alone
	unchecked   []Member             // newcomers whose family of addresses is to be checked
}

// first reports whether something has not been said. After maxWarned different things
// nothing is new any more, since others choose the keys.
func (r *reachability) first(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said[key] || len(r.said) >= maxWarned {
		return false
	}
	if r.said == nil {
		r.said = map[string]bool{}
	}
	r.said[key] = true
	return true
}

// warnOnce logs a warning about the configuration once for each key. The caller
// does not hold the view's mu.
func (r *reachability) warnOnce(key, msg string, args ...any) {
	if r.first(key) {
		r.n.lines.Log(slog.LevelWarn, key, msg, args...)
	}
}

// checkSelf dials this node at the address that it advertises, as the others
// will. That it does not lead back is no mistake, behind address translation.
func (r *reachability) checkSelf() {
	addr := r.n.advertise.String()
	got, err := r.n.transport.Identify(addr, r.n.cfg.Detection.StreamTimeout)
	var claim *gossip.ClaimError
	if errors.As(err, &claim) {
		got, err = claim.ID, nil
	}
	if err == nil {
		r.warnOnce("self", "another node answers at the address that this one advertises: set cluster.Config.Advertise to an address "+
			"at which the others reach this node", "advertised", addr, "answers", got)
	}
}

// compareRoute warns if the route to a seed leaves from another address than the
// one that was guessed.
func (r *reachability) compareRoute(seed string) {
	if !r.guessed {
		return
	}
	if from, ok := routeTo(seed); ok && from != r.n.advertise.Addr() && !from.IsLoopback() {
		r.warnOnce("route", "this node advertises an address that was guessed, since no seed could be looked up when it started, and "+
			"its route to a seed leaves from another: set cluster.Config.Advertise", "advertised", r.n.advertise, "seed", seed, "leaves from", from)
	}
}

// elsewhere is called when a node that is not in the view has said that it is at
// another address than the other end of its connection. Behind address translation, or
// with several networks, that is right. The node that answers there decides.
func (r *reachability) elsewhere(id string, addr netip.AddrPort, end string) {
	r.n.prober.look(addr.String(), func(got string, err error) {
		switch {
		case err == nil && got == id:
			return
		case errors.Is(err, gossip.ErrSelf):
			err = errors.New("this node itself answers there")
		case err == nil:
			err = fmt.Errorf("%s answers there", got)
		case errors.Is(err, context.Canceled), errors.Is(err, errStopped):
			return
		}
		r.warnOnce("elsewhere "+id, "a node cannot be reached at the address that it advertises: set cluster.Config.Advertise of that node "+
			"to an address at which the others reach it", "node", id, "advertises", addr, "comes from", end, "err", err)
	})
}

// newcomer notes a member that is new in the view, to be checked by the run goroutine. It
// does not block: the caller holds the view's mu.
func (r *reachability) newcomer(m Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unchecked = append(r.unchecked, m)
}

// checkFamilies warns of newcomers to whose family of addresses no packet can be
// sent from the address that the endpoint is bound to.
func (r *reachability) checkFamilies() {
	r.mu.Lock()
	ms := r.unchecked
	r.unchecked = nil
	r.mu.Unlock()
	for _, m := range ms {
		if r.sendsTo(m.Addr) {
			continue
		}
		r.warnOnce("family "+m.ID(), "no packet can be sent to a member, because its address is not of the family of the one that this node listens on: "+
			"changes will spread slowly. Let both listen on addresses of one family, or this node on [::], which takes both",
			"member", m.ID(), "address", m.Addr, "listens on", r.n.ep.Addr())
	}
}

// sendsTo reports whether the endpoint's socket can send to an address. A socket on an
// unspecified IPv6 address takes both families, any other its own.
func (r *reachability) sendsTo(addr string) bool {
	to, err := netip.ParseAddrPort(addr)
	bound, boundErr := netip.ParseAddrPort(r.n.ep.Addr().String())
	if err != nil || boundErr != nil {
		return true
	}
	if ip := bound.Addr().Unmap(); ip.Is4() || !ip.IsUnspecified() {
		return ip.Is4() == to.Addr().Unmap().Is4()
	}
	return true
}

// answeredByStream notes that a member answered over a stream and not by packets. If it
// does so again, that is logged, once for each node: everything works then, but slowly,
// which is hard to find. Once alone is perhaps a lost packet, or a machine that was busy.
func (r *reachability) answeredByStream(id string) {
	r.mu.Lock()
	if r.byStream == nil || len(r.byStream) >= maxMembers {
		r.byStream = map[string]time.Time{}
	}
	last, before := r.byStream[id]
	r.byStream[id] = time.Now()
	warn := !r.packetsLost && before && time.Since(last) < byStreamFor
	r.packetsLost = r.packetsLost || warn
	r.mu.Unlock()
	if warn {
		r.n.log.Warn("a member answers over streams but not by packets: the families of the addresses differ, or something drops UDP on the way; "+
			"changes will spread slowly", "member", id)
	}
}

// onlyByStream reports whether a member has answered over a stream alone lately.
func (r *reachability) onlyByStream(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, ok := r.byStream[id]
	return ok && time.Since(last) < byStreamFor
}

// needsStream reports whether packets do not reach a member: it is of another family, or
// has answered over a stream alone lately.
func (r *reachability) needsStream(m Member) bool {
	return r.onlyByStream(m.ID()) || !r.sendsTo(m.Addr)
}

// exchangeByStream exchanges state with those members that packets do not reach, so
// that they hear what others hear by packets. It returns when all have ended, after
// StreamTimeout, or when ctx or the node ends.
func (r *reachability) exchangeByStream(ctx context.Context) {
	var all sync.WaitGroup
	told := 0
	for _, m := range r.n.view.others() {
		if told == maxStreamed || !r.needsStream(m) {
			continue
		}
		told++
		all.Go(func() { r.n.healer.exchange(m.ID(), m.Addr) })
	}
	if told == 0 {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		all.Wait()
	}()
	t := time.NewTimer(r.n.cfg.Detection.StreamTimeout)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-ctx.Done():
	case <-r.n.life.stop:
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
