// Package cluster makes an endpoint a node of a cluster. Nodes find each other by
// gossip, carry tags, notice within seconds when one is gone, and report every change.
// Package workers builds on it: which nodes run calls, and which one is chosen.
//
//	node, err := cluster.Join(ctx, ep, &cluster.Config{
//		Name: "worker-a", Cluster: "prod",
//		Seeds: []string{"10.0.0.1:61000"}, Tags: cluster.Tags{"role": "worker"},
//	})
//	for e := range node.Watch(ctx) {
//		fmt.Println(e)
//	}
//
// # Joining and leaving
//
// [Join] needs a name and, for every node but the first, the address of any member: a
// seed. All nodes of a cluster have certificates of one authority; there is no other
// secret. [Node.Joined] says when the node has found the others.
//
// [Node.Leave] ends a node in good order: the others see KindNodeLeft. [Node.Close] ends
// it at once: they see KindNodeFailed, as after a crash.
//
// # Names, boots and members
//
// A node has the name that its Config gives it, and a boot that is new at every Join. A
// restarted node is therefore a new member, and the old one is known to be gone as soon
// as the new one answers at its address. What a node knows of another is a [Member]:
// address, tags and [State]. [Node.Members], [Node.Lookup] and [Node.Snapshot] return
// copies of what is known now.
//
// # Events
//
// [Node.Watch] yields first the members as they are, and then every change as an
// [Event], in order. A loop that reads too slowly gets one KindResync with all members
// in place of what it missed. It delays neither the node nor other loops.
//
// # Tags and selectors
//
// [Tags] are small key=value pairs that a node shows to all others: its role, its zone,
// what it can do. [Node.SetTags] and [Node.UpdateTags] change them while it runs. A
// [Selector] such as "role=worker,zone in (a,b)" chooses nodes by them.
//
// # Failures and partitions
//
// A member that does not answer is first suspected and then failed (see Config.Profile
// for the times). If a large part of the cluster is lost at once, that is reported as a
// [Partition], with the side on which this node stands. Nothing is ever shut down: by
// default a node goes on, and Config.Partition.OnMinority can stop the assignment of new
// work on the smaller side. When the sides see each other again the cluster heals by
// itself.
//
// # Administration
//
// Every node answers an [Admin] with its Snapshot and its events, as JSON. The command
// "rpcnet members" uses it. Package cluster/prom makes [Metrics] for Prometheus.
//
// # How it works
//
// hashicorp/memberlist, an implementation of SWIM with Lifeguard, finds out which nodes
// are alive. It runs on the endpoint's one port: see cluster/internal/gossip for
// packets, streams and keys. memberlist knows less than an operator wants to know, and
// has some traps. This package surrounds it with parts that each have a file:
//
//   - cluster/internal/members holds the table of members. It decides what a node
//     holds of another, which events that makes, and when a loss is a partition. It
//     is pure: it has neither clock nor network, and scenario files as tests.
//   - view (view.go) steps the table, does what it asks for, and keeps the last
//     events for Watch.
//   - delegate (delegate.go) is what memberlist calls back. Left and failed look
//     alike to memberlist, so a node that leaves says so in its meta and in a packet
//     that only it can seal (endpoint.go).
//   - prober (prober.go) asks members and addresses which nodes are there, for the table.
//   - healer (healer.go) exchanges state where views differ, and dials failed
//     members; seeder (seeds.go) does so with the seeds. memberlist joins once.
//   - reachability (reachability.go) warns of addresses that others cannot reach.
//   - announcement (self.go) is what the node says of itself, toldNames (names.go)
//     what others say their certificates carry.
//   - lifecycle (lifecycle.go) is where the node stands between Join and the end.
//
// memberlist's name of a node is "name@boot". So a restart is a new member, the old
// one is gone at once when the new one shows up at its address, and no number has to
// survive a restart.
//
// # Goroutines
//
// memberlist has six goroutines of its own. A Node has one, run (tick.go), which
// takes what memberlist told from the inbox and ticks every 100 ms. What may block
// (dials, exchanges of state) runs on goroutines that lifecycle counts, and that
// Close waits for. Only Config.Partition.OnMinority runs on one that Close does not
// wait for, since it may call Close.
//
// # Locks
//
// memberlist calls back under its own lock, in the order of its decisions. The
// callbacks only append to the inbox. The next goroutine that holds the view's lock
// gives the table what is in the inbox, so that the order of events is the order of
// decisions. Nothing that may block is called under the view's lock: the log is
// written after it is released, subscribers take from the feed, and Metrics must be
// quick.
//
// The order of locks: seeder's or healer's, then the view's, then the prober's, then
// the leaves (inbox, lifecycle, reachability, toldNames, workerSources, and the
// transport's). announcement's and those of lifecycle for Leave come before all of
// them.
package cluster
