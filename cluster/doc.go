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
// and has some traps; this package is what goes around it:
//
//   - memberlist's name of a node is "name@boot", so that a restart is a new
//     member, the old one is gone at once when the new one shows up at its
//     address, and no number has to survive a restart;
//   - left and failed look alike to memberlist: a node that leaves says so in
//     its meta and in a packet that only it can seal;
//   - memberlist joins once: seeds, failed members and nodes that show up are
//     dialled here, and views that differ are exchanged (heal.go);
//   - a split is told from a crash by a detector of its own (partition.go);
//   - evidence of those who route, which is faster than gossip, becomes part of
//     the view (evidence.go).
//
// # Goroutines and locks
//
// memberlist has six goroutines of its own. A Node has one, run, which takes
// what memberlist told from the inbox and ticks every 100 ms; what may block
// (dials, exchanges of state) runs on short-lived goroutines that Close waits
// for.
//
// memberlist calls back under its own lock, in the order of its decisions.
// Callbacks only append to the inbox, a leaf lock. Whoever then holds the
// node's lock, mu, applies the inbox to the table of members and hands the
// events to the feed of the subscribers, so that the order of events is the order
// of decisions. Nothing that may block is called under mu: logs are written
// after it is released, subscribers take from the feed (feed.go), and
// Metrics must be quick. The healer's lock comes before mu.
package cluster
