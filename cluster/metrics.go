package cluster

import "time"

// Metrics receives what a node counts and measures. Its methods are called
// from several goroutines, some on the path of every packet: they must be
// quick and must not call back into the cluster. Package cluster/prom
// implements it for Prometheus.
type Metrics interface {
	// Probe is called for each probe of a member that was answered, with its
	// round-trip time, and with ok false for each that was not, neither
	// directly nor through others nor over a stream.
	Probe(rtt time.Duration, ok bool)
	// Fallback is called when a member answered a probe over a stream and not
	// by packets: something between drops UDP.
	Fallback()
	// HealthScore is memberlist's judgement of this node itself, from 0 (well)
	// to 7, whenever it changes.
	HealthScore(score int)
	// Packet is called for each packet sent (out) and accepted (in), by kind:
	// "gossip" or "control", with its size in bytes on the wire.
	Packet(direction, kind string, bytes int)
	// Stream is called for each gossip connection opened: direction "in" or
	// "out", kind "state" or "key".
	Stream(direction, kind string)
	// Refused is called for each packet or connection that was not accepted,
	// and for each packet not sent, by reason; see docs/security.md for the
	// list.
	Refused(reason string)
	// Members is the number of members in each state, whenever it changes.
	Members(state State, n int)
	// QueueDepth is the number of entries waiting in a queue, "packets_out" or
	// "callbacks", about once a second.
	QueueDepth(queue string, n int)
	// Kept is how much the node keeps because of others, and the most it would,
	// about once a second: "keys" of nodes, "keys_gone" (counters of nodes whose
	// keys were dropped), "members" (present or not forgotten), "addresses" that
	// are asked who answers there, "dials" (ends of dials, by address), "hellos"
	// awaited, "states" (nodes in exchanges under way), and "event_streams".
	Kept(what string, n, limit int)
	// Event is called for each event of the node, by kind and cause.
	Event(kind Kind, cause Cause)
	// Phi is the suspicion level of a worker's heartbeats as a workers.Registry of
	// the node sees it (8 by default makes the worker late), about once a second.
	// With gone set the registry watches no worker of that name any more.
	Phi(worker string, level float64, gone bool)
}

type noMetrics struct{}

func (noMetrics) Probe(time.Duration, bool)  {}
func (noMetrics) Fallback()                  {}
func (noMetrics) HealthScore(int)            {}
func (noMetrics) Packet(string, string, int) {}
func (noMetrics) Stream(string, string)      {}
func (noMetrics) Refused(string)             {}
func (noMetrics) Members(State, int)         {}
func (noMetrics) QueueDepth(string, int)     {}
func (noMetrics) Kept(string, int, int)      {}
func (noMetrics) Event(Kind, Cause)          {}
func (noMetrics) Phi(string, float64, bool)  {}
