package cluster

import "time"

// Metrics receives what a node counts and measures. It is a set of functions so
// that it can grow: each can be nil, and a new one breaks no program. Package
// cluster/prom fills it in for Prometheus.
//
// Its functions are called from several goroutines, some for every packet. They
// must be quick and must not call back into the cluster.
type Metrics struct {
	// Probe is called for each probe of a member that was answered, with its
	// round-trip time, and with ok false for each that was not, neither
	// directly nor through others nor over a stream.
	Probe func(rtt time.Duration, ok bool)
	// Fallback is called when a member answered a probe over a stream and not
	// by packets: something between drops UDP.
	Fallback func()
	// HealthScore is called with memberlist's judgement of this node itself, from 0
	// (well) to 7, whenever it changes.
	HealthScore func(score int)
	// Packet is called for each packet sent (out) and accepted (in), by kind:
	// "gossip" or "control", with its size in bytes on the wire.
	Packet func(direction, kind string, bytes int)
	// Stream is called for each gossip connection opened: direction "in" or
	// "out", kind "state" or "key".
	Stream func(direction, kind string)
	// Refused is called for each packet or connection that was not accepted,
	// and for each packet not sent, by reason; see docs/security.md for the
	// list.
	Refused func(reason string)
	// Members is called with the number of members in a state whenever it changes.
	Members func(state State, n int)
	// QueueDepth is called about once a second with the number of entries that wait
	// in a queue, "packets_out" or "callbacks".
	QueueDepth func(queue string, n int)
	// Kept is called about once a second with how much the node keeps because of
	// others, and the most it would: "keys" of nodes, "keys_gone" (counters of nodes
	// whose keys were dropped), "members" (present or not forgotten), "addresses" that
	// are asked who answers there, "dials" (ends of dials, by address), "hellos"
	// awaited, "states" (nodes in exchanges under way), and "event_streams".
	Kept func(what string, n, limit int)
	// Event is called for each event of the node, by kind and cause.
	Event func(kind Kind, cause string)
	// Phi is called about once a second with the suspicion level of a worker's
	// heartbeats as a workers.Registry of the node sees it (8 by default makes the
	// worker late). With gone set the registry watches no worker of that name any
	// more.
	Phi func(worker string, level float64, gone bool)
	// StreamsMoved is called with how many streams a worker has handed over to emptier
	// ones because a workers.Registry of the node asked for it.
	StreamsMoved func(streams int)
}

// complete returns a copy of m, which can be nil, without nil functions, so that
// the node need not ask before each call.
func (m *Metrics) complete() *Metrics {
	var c Metrics
	if m != nil {
		c = *m
	}
	if c.Probe == nil {
		c.Probe = func(time.Duration, bool) {}
	}
	if c.Fallback == nil {
		c.Fallback = func() {}
	}
	if c.HealthScore == nil {
		c.HealthScore = func(int) {}
	}
	if c.Packet == nil {
		c.Packet = func(string, string, int) {}
	}
	if c.Stream == nil {
		c.Stream = func(string, string) {}
	}
	if c.Refused == nil {
		c.Refused = func(string) {}
	}
	if c.Members == nil {
		c.Members = func(State, int) {}
	}
	if c.QueueDepth == nil {
		c.QueueDepth = func(string, int) {}
	}
	if c.Kept == nil {
		c.Kept = func(string, int, int) {}
	}
	if c.Event == nil {
		c.Event = func(Kind, string) {}
	}
	if c.Phi == nil {
		c.Phi = func(string, float64, bool) {}
	}
	if c.StreamsMoved == nil {
		c.StreamsMoved = func(int) {}
	}
	return &c
}

// gossipMetrics are the Metrics of a node as its gossip transport calls them.
type gossipMetrics struct{ m *Metrics }

func (g gossipMetrics) Packet(direction, kind string, bytes int) { g.m.Packet(direction, kind, bytes) }
func (g gossipMetrics) Stream(direction, kind string)            { g.m.Stream(direction, kind) }
func (g gossipMetrics) Refused(reason string)                    { g.m.Refused(reason) }
