// Package prom fills in cluster.Metrics for Prometheus.
//
//	m, err := prom.New(prometheus.DefaultRegisterer)
//	node, err := cluster.Join(ctx, ep, &cluster.Config{Name: "a", Metrics: m})
//
// The metrics, all with the prefix rpcnet_cluster_:
//
//	probe_seconds                histogram  round trip of answered probes
//	probes_total                 counter    probes, by result: answered, failed
//	probe_fallbacks_total        counter    probes answered over a stream only: UDP is dropped
//	health_score                 gauge      0 (well) to 7
//	packets_total                counter    by direction (in, out) and kind (gossip, control)
//	packet_bytes_total           counter    likewise, on the wire
//	streams_total                counter    by direction and kind (state, key)
//	refused_total                counter    packets and connections not accepted, or not sent, by reason
//	members                      gauge      by state
//	queue_depth                  gauge      by queue
//	events_total                 counter    by kind and cause
//	streams_moved_total          counter    streams that workers have handed over to emptier ones
//	worker_phi                   gauge      suspicion level of a watched worker's heartbeats, by worker; 8 by default is late
//
// Those of an endpoint ([Endpoint]) have the prefix rpcnet_endpoint_:
//
//	sessions, streams, handshakes         gauge    callers, their calls, connections on their way
//	refused_total                         counter  connections that became no session, by reason
//	certificate_expiry_timestamp_seconds  gauge    when the certificate in use expires
//	certificate_refused                   gauge    1 if the files hold something that is refused
//	memory_bytes                          gauge    what is kept for peers, by kind
//	memory_used_bytes                     gauge    all of it; memory_limit_bytes is the most
//	memory_peers                          gauge    identities that something is kept for
//	memory_largest_peer_bytes             gauge    of the one with the most; memory_peer_limit_bytes is the most
package prom

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rpcnet-go/rpcnet/cluster"
)

// collectors are the metrics of one node. They are safe for concurrent use.
type collectors struct {
	probeSeconds prometheus.Histogram
	answered     prometheus.Counter
	failed       prometheus.Counter
	fallbacks    prometheus.Counter
	health       prometheus.Gauge
	packets      *prometheus.CounterVec
	bytes        *prometheus.CounterVec
	streams      *prometheus.CounterVec
	refused      *prometheus.CounterVec
	members      *prometheus.GaugeVec
	queues       *prometheus.GaugeVec
	kept         *prometheus.GaugeVec
	keptMost     *prometheus.GaugeVec
	events       *prometheus.CounterVec
	moved        prometheus.Counter
	phi          *prometheus.GaugeVec
}

// New returns metrics that are registered with r, for [cluster.Config]. It fails,
// and leaves nothing registered, if one of them is registered already. They serve
// one node: two nodes of a process need registerers that tell them apart
// ([prometheus.WrapRegistererWith]).
func New(r prometheus.Registerer) (*cluster.Metrics, error) {
	// Names and labels are part of the API: dashboards and alerts use them.
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "rpcnet", Subsystem: "cluster", Name: name, Help: help}
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts(opts(name, help)), labels)
	}
	// Labels whose values are known are resolved once, off the path of probes.
	probes := counter("probes_total", "Probes of members, by result.", "result")
	m := &collectors{
		probeSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "rpcnet", Subsystem: "cluster", Name: "probe_seconds", Help: "Round trip of answered probes.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5},
		}),
		answered:  probes.WithLabelValues("answered"),
		failed:    probes.WithLabelValues("failed"),
		fallbacks: prometheus.NewCounter(prometheus.CounterOpts(opts("probe_fallbacks_total", "Probes answered over a stream only: UDP is dropped somewhere."))),
		health:    prometheus.NewGauge(prometheus.GaugeOpts(opts("health_score", "Judgement of this node itself, 0 (well) to 7."))),
		packets:   counter("packets_total", "Packets sent and accepted.", "direction", "kind"),
		bytes:     counter("packet_bytes_total", "Bytes of packets sent and accepted, as UDP carries them.", "direction", "kind"),
		streams:   counter("streams_total", "Gossip connections opened.", "direction", "kind"),
		refused:   counter("refused_total", "Packets and connections not accepted, or packets not sent, by reason.", "reason"),
		members:   gauge("members", "Members in each state.", "state"),
		queues:    gauge("queue_depth", "Entries waiting in a queue.", "queue"),
		kept:      gauge("kept", "Entries that the node keeps because of others.", "what"),
		keptMost:  gauge("kept_limit", "The most entries that the node would keep.", "what"),
		events:    counter("events_total", "Events of the node.", "kind", "cause"),
		moved:     prometheus.NewCounter(prometheus.CounterOpts(opts("streams_moved_total", "Streams that workers have handed over to emptier ones."))),
		phi:       gauge("worker_phi", "Suspicion level of a watched worker's heartbeats.", "worker"),
	}
	var done []prometheus.Collector // registered so far
	for _, c := range []prometheus.Collector{
		m.probeSeconds, probes, m.fallbacks, m.health, m.packets, m.bytes, m.streams, m.refused, m.members, m.queues, m.kept, m.keptMost, m.events, m.moved, m.phi,
	} {
		if err := r.Register(c); err != nil {
			for _, c := range done {
				r.Unregister(c)
			}
			return nil, errors.Join(errors.New("prom: registering the metrics of a cluster node"), err)
		}
		done = append(done, c)
	}
	return m.metrics(), nil
}

// metrics returns the functions that count in m.
func (m *collectors) metrics() *cluster.Metrics {
	return &cluster.Metrics{
		Probe:       m.probe,
		Fallback:    m.fallbacks.Inc,
		HealthScore: func(score int) { m.health.Set(float64(score)) },
		Packet: func(direction, kind string, bytes int) {
			m.packets.WithLabelValues(direction, kind).Inc()
			m.bytes.WithLabelValues(direction, kind).Add(float64(bytes))
		},
		Stream:  func(direction, kind string) { m.streams.WithLabelValues(direction, kind).Inc() },
		Refused: func(reason string) { m.refused.WithLabelValues(reason).Inc() },
		Members: func(state cluster.State, n int) {
			m.members.WithLabelValues(state.String()).Set(float64(n))
		},
		QueueDepth: func(queue string, n int) { m.queues.WithLabelValues(queue).Set(float64(n)) },
		Kept: func(what string, n, limit int) {
			m.kept.WithLabelValues(what).Set(float64(n))
			m.keptMost.WithLabelValues(what).Set(float64(limit))
		},
		Event: func(kind cluster.Kind, cause string) {
			m.events.WithLabelValues(kind.String(), cause).Inc()
		},
		Phi:          m.level,
		StreamsMoved: func(streams int) { m.moved.Add(float64(streams)) },
	}
}

// probe counts a probe of a member. Only answered ones have a time.
func (m *collectors) probe(rtt time.Duration, ok bool) {
	if !ok {
		m.failed.Inc()
		return
	}
	m.answered.Inc()
	m.probeSeconds.Observe(rtt.Seconds())
}

// level sets the suspicion level of a worker, or removes it with the worker, so that
// names of workers that are gone do not gather.
func (m *collectors) level(worker string, level float64, gone bool) {
	if gone {
		m.phi.DeleteLabelValues(worker)
		return
	}
	m.phi.WithLabelValues(worker).Set(level)
}
