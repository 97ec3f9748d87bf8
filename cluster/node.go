package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/hashicorp/memberlist"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/cluster/internal/members"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/hook"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// A Node is this process's member of a cluster: its view of the others and what it says
// of itself. [Join] makes one. Its methods are safe for concurrent use, and none but
// Leave and Close waits for the network. After Close or Leave the view stays as it was
// last, and changes fail with [rpcnet.CodeUnavailable].
type Node struct {
	cfg        Config // populated; this field and those up to list are immutable
	ep         *rpcnet.Endpoint
	id         string
	advertise  netip.AddrPort // with the zone, of those that need one
	namesBound bool           // Config.VerifyNode is set
	log        *slog.Logger
	lines      *loglimit.Limiter // of what others cause
	transport  *gossip.Transport
	list       *memberlist.Memberlist

	// Each of these has its own lock, beside its type.
	life    *lifecycle    // where the node stands between Join and the end
	inbox   inbox         // what memberlist has told and the view has not taken yet
	view    *view         // the table of members, and the events for subscribers
	prober  *prober       // asks members whether they are there
	healer  *healer       // brings views together that differ
	seeder  *seeder       // reaches the seeds
	reach   *reachability // who can reach whom
	names   toldNames     // the names that certificates of others may carry
	self    *announcement // what the node says of itself
	workers workerSources // of registries
	admin   adminService  // what administrators ask for
}

// errStopped is what changes return after Close or Leave.
var errStopped error = stoppedError{}

type stoppedError struct{}

func (stoppedError) Error() string { return "cluster: the node has stopped" }

// Unwrap makes a handler that returns e fail with this code and text.
func (e stoppedError) Unwrap() error { return rpcnet.NewError(rpcnet.CodeUnavailable, e.Error()) }

// Join makes the endpoint a node of a cluster. The endpoint carries one node at a time.
// After Close or Leave it can join again, as a new boot. The node does not own the
// endpoint: close it after the node.
//
// Without seeds the node is the first of its cluster. With seeds, Join waits until one of
// them answers, or until the first attempt to reach them has failed, at most
// Config.Discovery.JoinTimeout. If none answers, Join returns a node that goes on trying
// in the background, or an error if Config.Discovery.WaitForSeed is set. See
// [Node.Joined]. ctx limits Join only, not the life of the node.
//
// Join fails if the Config is wrong, and names every field that is; if the node's
// certificate leaves no room for its tags; and if the endpoint carries a node already.
func Join(ctx context.Context, ep *rpcnet.Endpoint, config *Config) (*Node, error) {
	if config == nil {
		return nil, errors.New("cluster: Join needs a Config with at least a Name, got nil")
	}
	n, err := newNode(ctx, ep, config)
	if err != nil {
		return nil, err
	}
	if err := n.start(); err != nil {
		return nil, err
	}
	if config.Cluster == "" {
		n.seeder.warnOfNoName()
	}
	if err := n.seeder.firstContact(ctx); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// newNode returns a node that has everything but a place on the endpoint.
func newNode(ctx context.Context, ep *rpcnet.Endpoint, config *Config) (*Node, error) {
	cfg := config.populate()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	advertise, guessed, err := advertiseAddr(ctx, &cfg, ep.Addr())
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, ep: ep, id: cfg.Name + "@" + newBoot(), advertise: advertise, namesBound: config.VerifyNode != nil,
		log:   cfg.Logger.With("node", cfg.Name),
		lines: loglimit.New(cfg.Logger.With("node", cfg.Name)),
		inbox: inbox{wake: make(chan struct{}, 1)},
		admin: newAdminService(),
	}
	seeds := newSeeds(cfg.Seeds, loadMembers(&n.cfg, n.log), advertise.String())
	first := !promised(seeds) && cfg.ExpectNodes == 0
	n.life = newLifecycle(n)
	if first {
		n.life.join()
	}
	n.view = newView(n, first)
	n.prober = newProber(n)
	n.healer = newHealer(n)
	n.seeder = newSeeder(n, seeds)
	n.reach = &reachability{n: n, guessed: guessed}
	n.self = &announcement{n: n}
	n.self.tags.Store(cfg.Tags.Clone())
	n.self.checkCertificate()
	if err := n.self.fits(cfg.Tags); err != nil {
		return nil, err
	}
	for _, s := range seeds {
		n.names.standFor(s, nil, s.addrs)
	}
	hook.Detector(ctx, n.view.describeDetector)
	if n.transport, err = (endpoint{n}).transport(ctx); err != nil {
		return nil, err
	}
	if n.list, err = memberlist.Create(delegate{n}.listConfig()); err != nil {
		n.transport.Shutdown()
		return nil, fmt.Errorf("cluster: joining: %w", err)
	}
	n.view.drain() // this node is in its own view
	return n, nil
}

// start puts the node on the endpoint, which may call it from then on, even to leave:
// that must wait until the node can be taken off.
func (n *Node) start() (err error) {
	n.life.leaveMu.Lock()
	defer n.life.leaveMu.Unlock()
	if n.life.remove, err = extend.Endpoint(n.ep, endpoint{n}.extension()); err != nil {
		n.list.Shutdown()
		return fmt.Errorf("cluster: joining: %w", err)
	}
	n.life.spawn(n.run)
	return nil
}

// proved reports whether the certificate of a node has been seen, if names are bound
// to certificates.
func (n *Node) proved(id string) bool { return n.namesBound && n.transport.Proved(id) }

// Endpoint returns the endpoint that was given to Join.
func (n *Node) Endpoint() *rpcnet.Endpoint { return n.ep }

// Joined returns a channel that is closed when the node has joined: when another member
// is in the view or, with Config.ExpectNodes, as many as that. A node without seeds that
// expects no others has joined at once; its own address among the seeds does not count.
// The channel stays closed.
func (n *Node) Joined() <-chan struct{} { return n.life.joined }

// Done returns a channel that is closed when the node has stopped: when nothing of it
// runs any more.
func (n *Node) Done() <-chan struct{} { return n.life.stopped }

// Self returns this node as a member, with the address that it advertises.
func (n *Node) Self() (self Member) {
	n.view.with(func(t *members.Table) {
		m, _ := t.Get(n.id)
		self = publicMember(m)
	})
	return self
}

// Members returns the members that are present (alive, suspect or leaving), this node
// included, sorted by name and boot. The slice is the caller's; the tags are shared.
func (n *Node) Members() []Member {
	n.view.mu.Lock()
	defer n.view.mu.Unlock()
	return n.view.present()
}

// Gone returns the members that have left or failed and are not forgotten yet, sorted by
// name and boot. A failed one is dialled again for Config.Discovery.ReconnectFor. One
// that left or was replaced is forgotten after a few minutes.
func (n *Node) Gone() (ms []Member) {
	n.view.with(func(t *members.Table) {
		for m := range t.Shown() {
			if !m.State.Present() {
				ms = append(ms, publicMember(m))
			}
		}
	})
	slices.SortFunc(ms, compareMembers)
	return ms
}

// Lookup returns the member of that name. Of several it returns the newest boot that is
// present, or else the newest that is gone. ok is false if there is none.
func (n *Node) Lookup(name string) (m Member, ok bool) {
	n.view.with(func(t *members.Table) {
		best, found := t.Best(name)
		m, ok = publicMember(best), found
	})
	return m, ok
}

// NodesWith returns the present members whose tags match the selector, sorted by name and
// boot. The empty selector matches all. A bad one is an error with
// [rpcnet.CodeInvalidArgument], as [ParseSelector] returns it. A selector's text is
// parsed once per node.
func (n *Node) NodesWith(selector string) ([]Member, error) {
	n.view.mu.Lock()
	defer n.view.mu.Unlock()
	s, ok := n.view.selectors[selector]
	if !ok {
		var err error
		if s, err = ParseSelector(selector); err != nil {
			return nil, err
		}
		if len(n.view.selectors) >= 1024 { // made from data, then: start over
			clear(n.view.selectors)
		}
		n.view.selectors[selector] = s
	}
	return slices.DeleteFunc(n.view.present(), func(m Member) bool { return !s.Matches(m.Tags) }), nil
}

// Select is [Node.NodesWith] for a parsed selector. It cannot fail.
func (n *Node) Select(s Selector) []Member {
	return slices.DeleteFunc(n.Members(), func(m Member) bool { return !s.Matches(m.Tags) })
}

// Assigns reports whether this node may assign work. It may, with two exceptions: until
// as many members as Config.ExpectNodes have been in the view; and on the smaller side
// of a partition if Config.Partition.OnMinority has returned false, until the others are
// back or known to be gone. Package workers heeds it.
func (n *Node) Assigns() (assigns bool) {
	n.view.with(func(t *members.Table) {
		assigns = t.Assigns() && (n.cfg.ExpectNodes == 0 || t.Joined())
	})
	return assigns
}

// Partition returns the partition in which this node finds itself. ok is false if there
// is none.
func (n *Node) Partition() (p Partition, ok bool) {
	n.view.with(func(t *members.Table) {
		in, is := t.Partition()
		p, ok = Partition(in), is
	})
	return p, ok
}

// SetTags replaces the node's tags. It fails, and changes nothing, if they are not valid
// or too large (see [Tags]), or if the node has stopped. It returns when this node's own
// view shows them. The others hear of them through gossip, usually within 0.2 s.
func (n *Node) SetTags(tags Tags) error {
	return n.self.change(func(Tags) Tags { return tags.Clone() })
}

// UpdateTags sets these tags and keeps the others. Otherwise it is as [Node.SetTags].
func (n *Node) UpdateTags(tags Tags) error {
	return n.self.change(func(t Tags) Tags {
		for k, v := range tags {
			t[k] = v
		}
		return t
	})
}

// RemoveTags removes tags. A tag that is not there is no error. Otherwise it is as
// [Node.SetTags].
func (n *Node) RemoveTags(keys ...string) error {
	return n.self.change(func(t Tags) Tags {
		for _, k := range keys {
			delete(t, k)
		}
		return t
	})
}

// Close stops the node at once, without announcing it: the others see a crash. It returns
// when nothing of the node uses the endpoint any more, which is then free to join again.
// A probe of memberlist that was under way sleeps on for a moment. Close is idempotent
// and never fails.
func (n *Node) Close() error {
	n.life.close()
	return nil
}

// Leave takes the node out of the cluster in good order:
//
//  1. it announces that it will leave, so that the others give it no new work;
//  2. it lets what runs on it finish, as long as ctx allows;
//  3. it tells all members that it has left, which they see as KindNodeLeft;
//  4. it goes on gossiping for Config.LeaveDelay, and stops.
//
// The error says that the third step did not reach the others in time: they will see a
// failure. The node has stopped nevertheless. A second call, or one after Close, does
// nothing. The endpoint stays open.
func (n *Node) Leave(ctx context.Context) error { return n.life.leave(ctx) }
