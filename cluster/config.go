package cluster

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

// Config says how a node takes part in a cluster. Name is required. A zero
// value of any other field means the default that its comment names. Join
// copies the Config, so that one value may serve for several nodes.
type Config struct {
	// Name is the node's name: 1 to 64 bytes of printable characters without
	// spaces, '@' and '/'. Give each node a name of its own. Two live processes
	// with one name are both members, and both cause KindNameConflict.
	// Required.
	Name string
	// Seeds are host:port addresses of some members. The node looks them up and
	// dials them all at once, so that a dead one delays nothing. It goes on
	// dialling them for as long as it runs, so that parts of a cluster whose seeds
	// were replaced find each other (see DiscoveryConfig.SeedInterval). The node's
	// own address among them is ignored. A host name that resolves to this node
	// alone is looked up again later, and does not make the node the first.
	// Default: none, the node is the first of its cluster.
	Seeds []string
	// Tags are the tags that the node carries from the start. Default: none.
	Tags Tags
	// Cluster is the name of the cluster, at most 128 bytes. Nodes of different
	// clusters ignore each other even if their certificates agree. Default
	// "rpcnet".
	Cluster string
	// Profile chooses the defaults of Detection and Partition.Window. With n
	// members a silent one is declared failed after about
	// 1.8·ProbeInterval + SuspicionMult·max(1, log₁₀n)·ProbeInterval.
	//
	//   - "lan" suits up to about 100 nodes in one data centre: failed after about
	//     1.2 s with 5 nodes and 1.5 s with 20. A process that is stopped for 1 s
	//     is not declared failed.
	//   - "large" suits more nodes: shorter suspicion, wider gossip; failed after
	//     about 2.2 s with 1 000 nodes.
	//   - "wan" suits nodes far from each other: failed after about 6 s.
	//
	// Default "lan".
	Profile string
	// ExpectNodes is how many members, this node included, must have been in the
	// view at the same time before the node counts as joined ([Node.Joined]) and
	// assigns work ([Node.Assigns]). It serves the first start of a cluster whose
	// nodes all have the same seeds: none of them then considers itself the whole
	// cluster. It applies to every start of the node: lower it when the cluster
	// has become smaller. 1 lets the node be the only one. Default: a node
	// without seeds has joined at once, one with seeds when it sees another.
	ExpectNodes int
	// Advertise is the host:port under which others reach this node. Set it
	// behind address translation, or if the endpoint listens on all interfaces
	// and the node finds the wrong address. No two nodes may advertise the same.
	// A host name is resolved once, and others verify the node's certificate by
	// that name. Without a port, or with port 0, it is the endpoint's port. A
	// link-local address needs its zone. Default: the endpoint's address; if that
	// is unspecified, the address from which the route to a seed leaves, and
	// without seeds the likeliest address of this machine.
	Advertise string
	// LeaveDelay is how long a leaving node goes on gossiping after it has
	// announced that it leaves. Default 1 s.
	LeaveDelay time.Duration
	// VerifyNode decides whether a node that has proved its certificate may carry
	// this name. An error refuses it. The node calls VerifyNode once per
	// connection. If it is set, members are not accepted on the word of others:
	// each node dials each other node once. Default: any certificate of the
	// authority may carry any name.
	VerifyNode func(peer rpcnet.Peer, name string) error
	// Logger receives members at Info, failures at Warn, and memberlist's own
	// lines at Debug. Default slog.Default().
	Logger *slog.Logger
	// Metrics receives counts and times. See package cluster/prom. Default: none.
	Metrics *Metrics

	// Discovery says how the node finds the others, and finds them again.
	Discovery DiscoveryConfig
	// Detection is the timing of probes and gossip.
	Detection DetectionConfig
	// Partition says how the node distinguishes a partition from crashes, and what it
	// does in one.
	Partition PartitionConfig
}

// DiscoveryConfig says how a node finds the other members when it starts, and
// how it finds them again after they failed.
type DiscoveryConfig struct {
	// WaitForSeed makes Join fail if no seed answers within JoinTimeout. Default:
	// Join returns the node, which goes on trying in the background.
	WaitForSeed bool
	// JoinTimeout limits the first attempt to reach the seeds, which Join waits
	// for. Default 5 s.
	JoinTimeout time.Duration
	// SeedInterval is the longest time between two attempts to reach the seeds
	// while none of them is in the view. The first attempts come faster. While a
	// seed is in the view, the node looks the names up every three to six times
	// SeedInterval, and dials those addresses that no member has. Default 5 s.
	SeedInterval time.Duration
	// ReconnectInterval is the time between two attempts to reach a failed member
	// in the first minute after its failure. Later attempts come every 30 s.
	// Default 2 s.
	ReconnectInterval time.Duration
	// ReconnectFor is how long a failed member is dialled again. Default 24 h.
	ReconnectFor time.Duration
	// MembersFile is a file to which the node writes the addresses of the members.
	// After a restart it tries them like seeds. Default: none.
	MembersFile string
	// Resolve looks up a host name of Seeds. Default net.DefaultResolver.
	Resolve func(ctx context.Context, host string) ([]string, error)
}

// DetectionConfig is the timing of probes, which find failures, and of gossip,
// which spreads the news. Where a default differs by Config.Profile, the three
// are given as lan / large / wan.
type DetectionConfig struct {
	// ProbeInterval is the time between two probes of random members: each member
	// is probed once every ProbeInterval·members. A smaller value detects faster
	// and sends more packets. Default 200 ms / 200 ms / 1 s.
	ProbeInterval time.Duration
	// ProbeTimeout is how long a probe waits for its answer before the node asks
	// others to probe. Choose it above the 99th percentile of the round-trip time
	// and below ProbeInterval. Default 100 ms / 100 ms / 500 ms.
	ProbeTimeout time.Duration
	// IndirectProbes is how many others are asked to probe. Default 3.
	IndirectProbes int
	// SuspicionMult, times ProbeInterval, times log₁₀ of the number of members,
	// is how long a suspected member has to refute. A larger value causes fewer
	// false failures and later detection. Default 4 / 3 / 4.
	SuspicionMult int
	// SuspicionMaxMult limits the suspicion of a member that no other node
	// confirms, as a multiple of the time above. Default 3.
	SuspicionMaxMult int
	// GossipInterval is the time between two rounds of gossip, at most
	// ProbeInterval. Default 100 ms / 100 ms / 250 ms.
	GossipInterval time.Duration
	// GossipNodes is how many members each round reaches. Default 3 / 4 / 4.
	GossipNodes int
	// RetransmitMult, times log₁₀ of the number of members, is how often a message
	// is passed on. Default 4.
	RetransmitMult int
	// PushPullInterval is the time between two full exchanges with a random
	// member, in a cluster of 32; it grows with the logarithm of the cluster's
	// size. Default 15 s / 30 s / 30 s.
	PushPullInterval time.Duration
	// StreamTimeout limits dialling and each exchange on a gossip connection. It
	// must be above ProbeTimeout. Default 2 s / 5 s / 5 s.
	StreamTimeout time.Duration
	// DeadGossipTime is how long gossip still reaches out to a failed member, so
	// that it can refute. Default 30 s / 30 s / 60 s.
	DeadGossipTime time.Duration
}

// PartitionConfig says how a node distinguishes a partition from crashes, and what it
// does in one.
type PartitionConfig struct {
	// OnMinority decides whether this node may go on assigning work (see
	// [Node.Assigns]) when it finds itself on the smaller side of a partition.
	// It runs on a goroutine of its own, which Close does not wait for. Default:
	// the node goes on.
	OnMinority func(Partition) (goOn bool)
	// Window is the time within which losses count as one. It must be above the
	// time it takes to detect a failure. Default, by Config.Profile, 6 s (lan),
	// 8 s (large), 30 s (wan).
	Window time.Duration
	// Stable is how long the picture must not change before a partition is
	// named. Default by size: 2 s up to 20 nodes, 5 s up to 100, then 10 s.
	Stable time.Duration
	// Baseline is how long a node must be known before it counts as expected.
	// Default 10 s.
	Baseline time.Duration
	// ForgetAfter is how long a failed member counts as expected. One that was
	// lost in a partition counts for as long as the partition lasts. Default
	// 10 min.
	ForgetAfter time.Duration
}

// profile is what Config.Profile chooses.
type profile struct {
	detection       DetectionConfig
	partitionWindow time.Duration
}

var profiles = map[string]profile{
	"lan": {DetectionConfig{
		ProbeInterval: 200 * time.Millisecond, ProbeTimeout: 100 * time.Millisecond, IndirectProbes: 3,
		SuspicionMult: 4, SuspicionMaxMult: 3,
		GossipInterval: 100 * time.Millisecond, GossipNodes: 3, RetransmitMult: 4,
		PushPullInterval: 15 * time.Second, StreamTimeout: 2 * time.Second, DeadGossipTime: 30 * time.Second,
	}, 6 * time.Second},
	"large": {DetectionConfig{
		ProbeInterval: 200 * time.Millisecond, ProbeTimeout: 100 * time.Millisecond, IndirectProbes: 3,
		SuspicionMult: 3, SuspicionMaxMult: 3,
		GossipInterval: 100 * time.Millisecond, GossipNodes: 4, RetransmitMult: 4,
		PushPullInterval: 30 * time.Second, StreamTimeout: 5 * time.Second, DeadGossipTime: 30 * time.Second,
	}, 8 * time.Second},
	"wan": {DetectionConfig{
		ProbeInterval: time.Second, ProbeTimeout: 500 * time.Millisecond, IndirectProbes: 3,
		SuspicionMult: 4, SuspicionMaxMult: 3,
		GossipInterval: 250 * time.Millisecond, GossipNodes: 4, RetransmitMult: 4,
		PushPullInterval: 30 * time.Second, StreamTimeout: 5 * time.Second, DeadGossipTime: 60 * time.Second,
	}, 30 * time.Second},
}

// populate returns a copy of c in which zero fields have their defaults. A profile
// that does not exist leaves its fields zero: validate refuses it.
func (c *Config) populate() Config {
	p := *c
	p.Seeds, p.Tags = slices.Clone(p.Seeds), p.Tags.Clone()
	p.Cluster = cmp.Or(p.Cluster, "rpcnet")
	p.Profile = cmp.Or(p.Profile, "lan")
	p.LeaveDelay = cmp.Or(p.LeaveDelay, time.Second)
	if p.VerifyNode == nil {
		p.VerifyNode = func(rpcnet.Peer, string) error { return nil }
	}
	if p.Logger == nil {
		p.Logger = slog.Default()
	}
	p.Metrics = p.Metrics.complete()
	of := profiles[p.Profile]
	p.Discovery.populate()
	p.Detection.populate(&of.detection)
	p.Partition.populate(of.partitionWindow)
	return p
}

func (c *DiscoveryConfig) populate() {
	c.JoinTimeout = cmp.Or(c.JoinTimeout, 5*time.Second)
	c.SeedInterval = cmp.Or(c.SeedInterval, 5*time.Second)
	c.ReconnectInterval = cmp.Or(c.ReconnectInterval, 2*time.Second)
	c.ReconnectFor = cmp.Or(c.ReconnectFor, 24*time.Hour)
	if c.Resolve == nil {
		c.Resolve = net.DefaultResolver.LookupHost
	}
}

func (c *DetectionConfig) populate(p *DetectionConfig) {
	c.ProbeInterval = cmp.Or(c.ProbeInterval, p.ProbeInterval)
	c.ProbeTimeout = cmp.Or(c.ProbeTimeout, p.ProbeTimeout)
	c.IndirectProbes = cmp.Or(c.IndirectProbes, p.IndirectProbes)
	c.SuspicionMult = cmp.Or(c.SuspicionMult, p.SuspicionMult)
	c.SuspicionMaxMult = cmp.Or(c.SuspicionMaxMult, p.SuspicionMaxMult)
	c.GossipInterval = cmp.Or(c.GossipInterval, p.GossipInterval)
	c.GossipNodes = cmp.Or(c.GossipNodes, p.GossipNodes)
	c.RetransmitMult = cmp.Or(c.RetransmitMult, p.RetransmitMult)
	c.PushPullInterval = cmp.Or(c.PushPullInterval, p.PushPullInterval)
	c.StreamTimeout = cmp.Or(c.StreamTimeout, p.StreamTimeout)
	c.DeadGossipTime = cmp.Or(c.DeadGossipTime, p.DeadGossipTime)
}

func (c *PartitionConfig) populate(window time.Duration) {
	if c.OnMinority == nil {
		c.OnMinority = func(Partition) bool { return true }
	}
	c.Window = cmp.Or(c.Window, window)
	c.Baseline = cmp.Or(c.Baseline, 10*time.Second)
	c.ForgetAfter = cmp.Or(c.ForgetAfter, 10*time.Minute)
}
