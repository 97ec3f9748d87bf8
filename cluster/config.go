package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// A Profile is a set of defaults for the timing of gossip and failure
// detection.
type Profile uint8

// The profiles. With n members a silent one is declared failed after about
// 1.8·ProbeInterval + SuspicionMult·max(1, log₁₀n)·ProbeInterval.
const (
	// LAN suits up to about 100 nodes in one data centre: probe every 200 ms,
	// time-out 100 ms, suspicion 4; failed after about 1.2 s with 5 nodes,
	// 1.5 s with 20. A process may be stopped for 1 s without being declared
	// failed. The default.
	LAN Profile = iota
	// Large suits more: suspicion 3, wider gossip; about 2.2 s with 1 000
	// nodes.
	Large
	// WAN suits nodes far from each other: probe every 1 s, time-out 500 ms;
	// failed after about 6 s.
	WAN
)

var profileNames = [...]string{"LAN", "Large", "WAN"}

// String returns the name of the constant.
func (p Profile) String() string { return nameOf(profileNames[:], int(p)) }

// A Config says how a node takes part in a cluster. Name is required; zero
// values of all other fields mean the default that their comment names, for the
// timing fields that of the Profile (LAN / Large / WAN where they differ).
type Config struct {
	// Name is the node's name: 1 to 64 bytes, printable, without spaces, '@'
	// and '/'. It should be unique; two live processes with one name are both
	// members, and everybody is told (NameConflict).
	Name string
	// Cluster is the name of the cluster, at most 128 bytes. Nodes of different
	// clusters ignore each other even when their certificates agree. Default
	// "rpcnet".
	Cluster string
	// Seeds are host:port addresses of members, any of them. They are looked up
	// and dialled side by side, so that one that does not answer costs nothing,
	// and for ever, so that the parts of a cluster whose seeds were replaced find
	// each other: see SeedInterval. The node's own address among them is ignored;
	// none but that: this is the first node. A name that stands for this node
	// alone is asked again, and is no reason to take it for the first.
	Seeds []string
	// ExpectNodes is how many members, this node among them, must have been in
	// the view at once before the node counts as joined ([Node.Joined]) and
	// assigns work ([Node.Assigns]): for the first start of a cluster whose nodes
	// all have the same seeds, so that none of them takes itself for the whole.
	// It holds for every start of the node, so that a cluster that has become
	// smaller needs a smaller number. 1: this node may be the only one. Default:
	// a node without seeds has joined at once, one with seeds when it sees
	// another.
	ExpectNodes int
	// Tags are what the node carries from the start.
	Tags Tags
	// Profile chooses the defaults below. Default LAN.
	Profile Profile

	// Advertise is the host:port that others use, if it is not the endpoint's:
	// behind address translation, or when the endpoint listens on all interfaces
	// and the address that is found is not the right one. That is the one that
	// the route to a seed leaves from; without seeds the likeliest of this
	// machine. No two nodes may advertise the same. A name is resolved once, and
	// others verify the node's certificate by it. A port of 0 or none is the
	// endpoint's. A link-local address needs its zone.
	Advertise string
	// WaitForSeed makes Join fail if no seed answers within JoinTimeout.
	// Default: Join returns and goes on trying in the background, for ever.
	WaitForSeed bool
	// JoinTimeout bounds the first attempt to reach the seeds, which Join waits
	// for. Default 5 s.
	JoinTimeout time.Duration
	// SnapshotFile keeps the addresses of the last known members; they are
	// tried like seeds after a restart. Default none.
	SnapshotFile string
	// Logger receives what happens: members at Info, failures at Warn,
	// memberlist's own lines at Debug. Default slog.Default.
	Logger *slog.Logger
	// Metrics receives counts and times. Default none. See package
	// cluster/prom.
	Metrics *Metrics
	// Resolve looks up a host name of Seeds. Default net.DefaultResolver.
	Resolve func(ctx context.Context, host string) ([]string, error)
	// VerifyNode may refuse a node that has proved its certificate but should
	// not carry this name; it is asked once per connection. With it members are
	// not shown on the word of others: each node dials each other once. Default:
	// any certificate of the CA may carry any name.
	VerifyNode func(peer rpcnet.Peer, name string) error
	// OnMinority is asked when this node finds itself on the smaller side of a
	// partition, and says whether it may go on assigning work (see
	// [Node.Assigns]). It runs on a goroutine of its own. Default: go on.
	// See [RejectAssignments].
	OnMinority func(Partition) (goOn bool)

	// ProbeInterval is the time between two probes of random members; each
	// member is probed once every ProbeInterval·members. Smaller: faster
	// detection, more packets. Default 200 ms / 200 ms / 1 s.
	ProbeInterval time.Duration
	// ProbeTimeout is how long a probe waits for its answer before others are
	// asked to probe; above the round-trip time's 99th percentile. Must be
	// below ProbeInterval. Default 100 ms / 100 ms / 500 ms.
	ProbeTimeout time.Duration
	// IndirectProbes is how many others are asked. Default 3.
	IndirectProbes int
	// SuspicionMult times ProbeInterval times log₁₀ of the members is how long
	// a suspected member has to refute. Larger: fewer false failures, later
	// detection. Default 4 / 3 / 4.
	SuspicionMult int
	// SuspicionMaxMult bounds the suspicion of a member that nobody else
	// confirms, as a multiple of the above. Default 3.
	SuspicionMaxMult int
	// GossipInterval is the time between two rounds of gossip. Must not be above
	// ProbeInterval. Default 100 ms / 100 ms / 250 ms.
	GossipInterval time.Duration
	// GossipNodes is how many members a round reaches. Default 3 / 4 / 4.
	GossipNodes int
	// RetransmitMult times log₁₀ of the members is how often a message is
	// passed on. Default 4.
	RetransmitMult int
	// PushPullInterval is the time between two full exchanges with a random
	// member, at 32 members; it grows with the logarithm of the cluster.
	// Default 15 s / 30 s / 30 s.
	PushPullInterval time.Duration
	// StreamTimeout bounds dialling and each exchange on a gossip connection.
	// Must be above ProbeTimeout. Default 2 s / 5 s / 5 s.
	StreamTimeout time.Duration
	// DeadGossipTime is how long gossip still reaches out to a failed member so
	// that it can refute. Default 30 s.
	DeadGossipTime time.Duration
	// LeaveDelay is how long a leaving node goes on gossiping after it has told
	// that it leaves. Default 1 s.
	LeaveDelay time.Duration

	// SeedInterval is the longest time between two attempts to reach the seeds
	// while none of them is in the view; the first ones come faster. While one is,
	// the names are looked up again every three to six times as long, and those
	// of their addresses dialled that no member has. Default 5 s.
	SeedInterval time.Duration
	// ReconnectInterval is the time between two attempts to reach failed
	// members in the first minute after a failure; then it is 30 s. Default
	// 2 s.
	ReconnectInterval time.Duration
	// ForgetAfter is how long a failed member counts as expected in the
	// partition detector. Default 10 min.
	// One that was lost in a partition counts for as long as that lasts.
	ForgetAfter time.Duration
	// ReconnectFor is how long failed members are dialled again. Default 24 h.
	ReconnectFor time.Duration
	// PartitionWindow is the time within which losses count as one. Must be
	// above the time it takes to detect a failure. Default 6 s / 8 s / 30 s.
	PartitionWindow time.Duration
	// PartitionStable is how long the picture must not change before a
	// partition is named. Default by size: 2 s up to 20 nodes, 5 s up to 100,
	// then 10 s.
	PartitionStable time.Duration
	// PartitionBaseline is how long a node must be known before it counts as
	// expected. Default 10 s.
	PartitionBaseline time.Duration
}

// RejectAssignments is for [Config.OnMinority]: it stops the assignment of new
// work on the smaller side of a partition.
func RejectAssignments(Partition) (goOn bool) { return false }

// defaults of the timing fields, by profile.
var profiles = [...]Config{
	LAN: {
		ProbeInterval: 200 * time.Millisecond, ProbeTimeout: 100 * time.Millisecond, IndirectProbes: 3,
		SuspicionMult: 4, SuspicionMaxMult: 3,
		GossipInterval: 100 * time.Millisecond, GossipNodes: 3, RetransmitMult: 4,
		PushPullInterval: 15 * time.Second, StreamTimeout: 2 * time.Second, DeadGossipTime: 30 * time.Second,
		PartitionWindow: 6 * time.Second,
	},
	Large: {
		ProbeInterval: 200 * time.Millisecond, ProbeTimeout: 100 * time.Millisecond, IndirectProbes: 3,
		SuspicionMult: 3, SuspicionMaxMult: 3,
		GossipInterval: 100 * time.Millisecond, GossipNodes: 4, RetransmitMult: 4,
		PushPullInterval: 30 * time.Second, StreamTimeout: 5 * time.Second, DeadGossipTime: 30 * time.Second,
		PartitionWindow: 8 * time.Second,
	},
	WAN: {
		ProbeInterval: time.Second, ProbeTimeout: 500 * time.Millisecond, IndirectProbes: 3,
		SuspicionMult: 4, SuspicionMaxMult: 3,
		GossipInterval: 250 * time.Millisecond, GossipNodes: 4, RetransmitMult: 4,
		PushPullInterval: 30 * time.Second, StreamTimeout: 5 * time.Second, DeadGossipTime: 60 * time.Second,
		PartitionWindow: 30 * time.Second,
	},
}

// populate returns c with its zero fields replaced by their defaults.
func (c Config) populate() Config {
	p := profiles[min(int(c.Profile), len(profiles)-1)]
	set(&c.Cluster, "rpcnet")
	set(&c.JoinTimeout, 5*time.Second)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Metrics = c.Metrics.complete()
	if c.Resolve == nil {
		c.Resolve = net.DefaultResolver.LookupHost
	}
	if c.VerifyNode == nil {
		c.VerifyNode = func(rpcnet.Peer, string) error { return nil }
	}
	if c.OnMinority == nil {
		c.OnMinority = func(Partition) bool { return true }
	}
	set(&c.ProbeInterval, p.ProbeInterval)
	set(&c.ProbeTimeout, p.ProbeTimeout)
	set(&c.IndirectProbes, p.IndirectProbes)
	set(&c.SuspicionMult, p.SuspicionMult)
	set(&c.SuspicionMaxMult, p.SuspicionMaxMult)
	set(&c.GossipInterval, p.GossipInterval)
	set(&c.GossipNodes, p.GossipNodes)
	set(&c.RetransmitMult, p.RetransmitMult)
	set(&c.PushPullInterval, p.PushPullInterval)
	set(&c.StreamTimeout, p.StreamTimeout)
	set(&c.DeadGossipTime, p.DeadGossipTime)
	set(&c.LeaveDelay, time.Second)
	set(&c.SeedInterval, 5*time.Second)
	set(&c.ReconnectInterval, 2*time.Second)
	set(&c.ForgetAfter, 10*time.Minute)
	set(&c.ReconnectFor, 24*time.Hour)
	set(&c.PartitionWindow, p.PartitionWindow)
	set(&c.PartitionBaseline, 10*time.Second)
	return c
}

func set[T comparable](field *T, def T) {
	var zero T
	if *field == zero {
		*field = def
	}
}

// validate says all that is wrong with a populated config.
func (c *Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("cluster: Config."+format, args...))
	}
	if err := validName(c.Name); err != nil {
		errs = append(errs, err)
	}
	if len(c.Cluster) > 128 || !utf8.ValidString(c.Cluster) {
		bad("Cluster %q: want at most 128 bytes of UTF-8", loglimit.Cut(c.Cluster))
	}
	if err := c.Tags.Validate(); err != nil {
		errs = append(errs, err)
	}
	if int(c.Profile) >= len(profiles) {
		bad("Profile %d: want LAN, Large or WAN", c.Profile)
	}
	for _, s := range c.Seeds {
		if err := validHostPort(s); err != nil {
			bad("Seeds: %w", err)
		}
	}
	for _, d := range []struct {
		name string
		v    time.Duration
		min  time.Duration
	}{
		{"JoinTimeout", c.JoinTimeout, time.Millisecond},
		{"ProbeInterval", c.ProbeInterval, 10 * time.Millisecond},
		{"ProbeTimeout", c.ProbeTimeout, time.Millisecond},
		{"GossipInterval", c.GossipInterval, 10 * time.Millisecond},
		{"PushPullInterval", c.PushPullInterval, 500 * time.Millisecond},
		{"StreamTimeout", c.StreamTimeout, 10 * time.Millisecond},
		{"DeadGossipTime", c.DeadGossipTime, 0},
		{"LeaveDelay", c.LeaveDelay, 0},
		{"SeedInterval", c.SeedInterval, 100 * time.Millisecond},
		{"ReconnectInterval", c.ReconnectInterval, 100 * time.Millisecond},
		{"ForgetAfter", c.ForgetAfter, time.Second},
		{"ReconnectFor", c.ReconnectFor, time.Second},
		{"PartitionWindow", c.PartitionWindow, 100 * time.Millisecond},
		{"PartitionStable", c.PartitionStable, 0},
		{"PartitionBaseline", c.PartitionBaseline, 0},
	} {
		if d.v < d.min {
			bad("%s %v: want at least %v", d.name, d.v, d.min)
		}
	}
	for _, n := range []struct {
		name     string
		v        int
		min, max int
	}{
		{"IndirectProbes", c.IndirectProbes, 1, 32},
		{"SuspicionMult", c.SuspicionMult, 2, 100},
		{"SuspicionMaxMult", c.SuspicionMaxMult, 1, 100},
		{"GossipNodes", c.GossipNodes, 1, 100},
		{"RetransmitMult", c.RetransmitMult, 1, 100},
	} {
		if n.v < n.min || n.v > n.max {
			bad("%s %d: want %d to %d", n.name, n.v, n.min, n.max)
		}
	}
	if c.ExpectNodes < 0 || c.ExpectNodes > maxMembers {
		bad("ExpectNodes %d: want 0 to %d", c.ExpectNodes, maxMembers)
	}
	if c.ProbeTimeout >= c.ProbeInterval {
		bad("ProbeTimeout %v must be below Config.ProbeInterval %v: nobody else could be asked before the next probe", c.ProbeTimeout, c.ProbeInterval)
	}
	if c.GossipInterval > c.ProbeInterval {
		bad("GossipInterval %v must not be above Config.ProbeInterval %v: refutations would come too late", c.GossipInterval, c.ProbeInterval)
	}
	if c.StreamTimeout <= c.ProbeTimeout {
		bad("StreamTimeout %v must be above Config.ProbeTimeout %v: probes over a stream could never succeed", c.StreamTimeout, c.ProbeTimeout)
	}
	if d := time.Duration(c.SuspicionMult) * c.ProbeInterval; c.PartitionWindow < 2*d {
		bad("PartitionWindow %v must be at least twice Config.SuspicionMult times Config.ProbeInterval (%v): losses of one partition would not be seen together", c.PartitionWindow, d)
	}
	if c.PartitionWindow > c.ForgetAfter {
		bad("PartitionWindow %v must not be above Config.ForgetAfter %v: losses of one partition would be forgotten before they count together", c.PartitionWindow, c.ForgetAfter)
	}
	if c.PartitionStable > c.ForgetAfter {
		bad("PartitionStable %v must not be above Config.ForgetAfter %v: lost nodes would be forgotten before the partition is named", c.PartitionStable, c.ForgetAfter)
	}
	if c.ReconnectInterval > reconnectIdle {
		bad("ReconnectInterval %v: want at most %v", c.ReconnectInterval, reconnectIdle)
	}
	return errors.Join(errs...)
}

// warnOfNoName tells that the cluster has no name of its own, which matters when
// seeds are given: a wrong one may be of another cluster without a name.
func (n *Node) warnOfNoName() {
	level := slog.LevelInfo
	if len(n.heal.seeds) > 0 {
		level = slog.LevelWarn
	}
	n.log.Log(backgroundCtx, level, "this cluster has no name of its own: through a wrong seed it would become one with any other "+
		"of the same certificate authority that has none either; give each a name with cluster.Config.Cluster", "cluster", n.cfg.Cluster)
}

func validName(name string) error {
	switch {
	case name == "":
		return errors.New("cluster: Config.Name is empty: give the node a name that no other has")
	case len(name) > maxNameLen || !utf8.ValidString(name):
		return fmt.Errorf("cluster: Config.Name %q: want at most %d bytes of UTF-8", loglimit.Cut(name), maxNameLen)
	case strings.ContainsFunc(name, func(r rune) bool { return r == '@' || r == '/' || !unicode.IsGraphic(r) || unicode.IsSpace(r) }):
		return fmt.Errorf("cluster: Config.Name %q: want printable characters without spaces, '@' and '/'", loglimit.Cut(name))
	}
	return nil
}

const maxNameLen = 64

// lacksZone reports whether ip means nothing without a zone and has none.
func lacksZone(ip netip.Addr) bool {
	return ip.Is6() && ip.IsLinkLocalUnicast() && ip.Zone() == ""
}

func validHostPort(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port: %w", addr, err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		return fmt.Errorf("%q: want a host and a port from 1 to 65535", addr)
	}
	if ip, err := netip.ParseAddr(host); err == nil && lacksZone(ip) {
		return fmt.Errorf("%q: a link-local address needs its zone, the interface that leads to it, as in [fe80::1%%eth0]:61000", addr)
	}
	return nil
}
