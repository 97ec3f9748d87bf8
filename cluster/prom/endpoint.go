package prom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rpcnet-go/rpcnet"
)

// Endpoint returns a collector of the numbers of [rpcnet.Endpoint.Stats], which it reads
// at each scrape. It is safe for concurrent use. One registerer serves one endpoint:
// several need registerers that tell them apart ([prometheus.WrapRegistererWith]).
//
//	prometheus.MustRegister(prom.Endpoint(ep))
func Endpoint(ep *rpcnet.Endpoint) prometheus.Collector { return endpoint{ep} }

// endpoint is the collector of one endpoint.
type endpoint struct{ ep *rpcnet.Endpoint }

// endpointDesc describes a metric of an endpoint.
func endpointDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName("rpcnet", "endpoint", name), help, labels, nil)
}

// The metrics of an endpoint. Their names are part of the API: dashboards use them.
var (
	sessionsDesc    = endpointDesc("sessions", "Callers that are connected.")
	streamsDesc     = endpointDesc("streams", "Calls of theirs that run here.")
	handshakesDesc  = endpointDesc("handshakes", "Connections that are no session yet.")
	refusedDesc     = endpointDesc("refused_total", "Connections that became no session, by reason.", "reason")
	notAfterDesc    = endpointDesc("certificate_expiry_timestamp_seconds", "When the certificate in use expires, in seconds since 1970.")
	waitingDesc     = endpointDesc("certificate_refused", "1 if the certificate files hold something that is not in use, since it is refused.")
	memoryDesc      = endpointDesc("memory_bytes", "What is kept for peers, by kind.", "kind")
	memoryUsedDesc  = endpointDesc("memory_used_bytes", "What is kept for all peers together.")
	memoryLimitDesc = endpointDesc("memory_limit_bytes", "The most that is kept for all peers together.")
	memoryPeersDesc = endpointDesc("memory_peers", "Identities that something is kept for.")
	largestDesc     = endpointDesc("memory_largest_peer_bytes", "What is kept for the identity with the most.")
	peerLimitDesc   = endpointDesc("memory_peer_limit_bytes", "The most that is kept for one identity.")
)

// Describe implements [prometheus.Collector]. The descriptions do not depend on the
// endpoint.
func (endpoint) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		sessionsDesc, streamsDesc, handshakesDesc, refusedDesc, notAfterDesc, waitingDesc,
		memoryDesc, memoryUsedDesc, memoryLimitDesc, memoryPeersDesc, largestDesc, peerLimitDesc,
	} {
		to <- d
	}
}

// Collect implements [prometheus.Collector]. It reads the numbers once and keeps
// nothing between two scrapes.
func (e endpoint) Collect(to chan<- prometheus.Metric) {
	// One reading for all metrics, so that they fit together.
	s := e.ep.Stats()
	// All from one reading, so that the numbers of a scrape fit together.
	tell := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) { tell(d, prometheus.GaugeValue, v, labels...) }
	gauge(sessionsDesc, float64(s.Sessions))
	gauge(streamsDesc, float64(s.Streams))
	gauge(handshakesDesc, float64(s.Handshakes))
	for reason, n := range s.Refused {
		tell(refusedDesc, prometheus.CounterValue, float64(n), reason)
	}
	gauge(notAfterDesc, float64(s.CertificateNotAfter.Unix()))
	waiting := 0.0 // a gauge that is 1 while new certificate files are refused
	if s.CertificateRefused != "" {
		waiting = 1
	}
	gauge(waitingDesc, waiting)
	for kind, n := range s.Memory.ByKind {
		gauge(memoryDesc, float64(n), kind)
	}
	gauge(memoryUsedDesc, float64(s.Memory.Used))
	gauge(memoryLimitDesc, float64(s.Memory.Limit))
	gauge(memoryPeersDesc, float64(s.Memory.Peers))
	gauge(largestDesc, float64(s.Memory.LargestUsed))
	gauge(peerLimitDesc, float64(s.Memory.PeerLimit))
}
