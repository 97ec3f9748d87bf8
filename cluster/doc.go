// Package cluster makes an endpoint a node of a cluster: nodes find each other
// by gossip, carry tags, notice within seconds when one is gone, and tell
// whoever watches. Package workers stands on top of it: who runs calls, who is
// chosen.
//
//	node, err := cluster.Join(ctx, ep, &cluster.Config{
//		Name: "worker-a", Seeds: []string{"10.0.0.1:61000"}, Tags: cluster.Tags{"role": "worker"},
//	})
//	for e := range node.Watch(ctx) {
//		fmt.Println(e)
//	}
//
// A node is named by its Name and, since it may be started again, by its boot,
// which is new at every Join. Everything a node knows of another is a [Member];
// everything that changes is an [Event].
//
// # How it works
//
// hashicorp/memberlist, an implementation of SWIM with Lifeguard, finds out who
// lives. It runs on the endpoint's one port: see cluster/internal/gossip for
// packets, streams and keys. memberlist knows less than an operator wants to,
// and has some traps. This package surrounds it with parts that each have a file:
//
//   - cluster/internal/members holds the table of members. It decides what a node
//     holds of another, which events that makes, and when a loss is a partition. It
//     is pure: it has neither clock nor network, and scenario files as tests.
//   - view (view.go) steps the table, does what it asks for, and keeps the last
//     events for those who watch.
//   - delegate (delegate.go) is what memberlist calls back. Left and failed look
//     alike to memberlist, so a node that leaves says so in its meta and in a packet
//     that only it can seal (endpoint.go).
//   - prober (prober.go) asks members and addresses who is there, for the table.
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
