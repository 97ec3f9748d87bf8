package prom_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/cluster/prom"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// sample returns the value of a metric with these label values, and whether it
// is there.
func sample(t *testing.T, g prometheus.Gatherer, name string, labels ...string) (float64, bool) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "rpcnet_cluster_"+name {
			continue
		}
	next:
		for _, m := range f.GetMetric() {
			have := map[string]bool{}
			for _, l := range m.GetLabel() {
				have[l.GetValue()] = true
			}
			for _, l := range labels {
				if !have[l] {
					continue next
				}
			}
			switch {
			case m.Counter != nil:
				return m.Counter.GetValue(), true
			case m.Gauge != nil:
				return m.Gauge.GetValue(), true
			}
			return float64(m.Histogram.GetSampleCount()), true
		}
	}
	return 0, false
}

func TestANodeFillsItsMetrics(t *testing.T) {
	t.Parallel()
	ca, err := rpctest.NewDevCA()
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	start := func(cfg cluster.Config) *cluster.Node {
		creds, err := ca.Credentials()
		if err != nil {
			t.Fatal(err)
		}
		ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ep.Close() })
		cfg.Logger = quiet
		n, err := cluster.Join(t.Context(), ep, &cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		return n
	}
	reg := prometheus.NewRegistry()
	m, err := prom.New(reg)
	if err != nil {
		t.Fatal(err)
	}
	a := start(cluster.Config{Name: "a", Metrics: m})
	start(cluster.Config{Name: "b", Seeds: []string{a.Self().Addr}})
	for _, want := range []struct {
		name   string
		labels []string
		least  float64
	}{
		{"members", []string{"alive"}, 2},
		{"events_total", []string{"NodeJoined"}, 2},
		{"packets_total", []string{"in", "gossip"}, 1},
		{"packet_bytes_total", []string{"out", "gossip"}, 34},
		{"streams_total", []string{"in", "state"}, 1},
		{"probe_seconds", nil, 1},
		{"probes_total", []string{"answered"}, 1},
		{"queue_depth", []string{"packets_out"}, 0},
		{"health_score", nil, 0},
	} {
		deadline := time.Now().Add(20 * time.Second)
		for {
			v, ok := sample(t, reg, want.name, want.labels...)
			if ok && v >= want.least {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s%v is %v (there: %v), want at least %v", want.name, want.labels, v, ok, want.least)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func TestASecondNodeNeedsARegistererOfItsOwn(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	if _, err := prom.New(reg); err != nil {
		t.Fatal(err)
	}
	if _, err := prom.New(reg); err == nil || !strings.Contains(err.Error(), "duplicate") {
		t.Errorf("the second: %v", err)
	}
	for i := range 2 {
		if _, err := prom.New(prometheus.WrapRegistererWith(prometheus.Labels{"node": fmt.Sprint(i)}, reg)); err == nil {
			t.Errorf("labels that clash with the first were accepted")
		}
	}
	own := prometheus.NewRegistry()
	for i := range 2 {
		if _, err := prom.New(prometheus.WrapRegistererWith(prometheus.Labels{"node": fmt.Sprint(i)}, own)); err != nil {
			t.Error(err)
		}
	}
}

func TestEveryMetricIsCounted(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m, err := prom.New(reg)
	if err != nil {
		t.Fatal(err)
	}
	m.Probe(0, false)
	m.Fallback()
	m.HealthScore(3)
	m.Refused("packet_forged")
	m.QueueDepth("callbacks", 7)
	m.Kept("keys", 5, 20_000)
	m.Event(cluster.KindNodeFailed, "refused")
	m.StreamsMoved(3)
	m.Phi("worker-a", 8.5, false)
	m.Phi("worker-b", 1, false)
	for name, want := range map[string]struct {
		label string
		value float64
	}{
		"probes_total": {"failed", 1}, "probe_fallbacks_total": {"", 1}, "health_score": {"", 3},
		"refused_total": {"packet_forged", 1}, "queue_depth": {"callbacks", 7}, "kept": {"keys", 5}, "kept_limit": {"keys", 20_000}, "events_total": {"refused", 1},
		"worker_phi": {"worker-a", 8.5}, "streams_moved_total": {"", 3},
	} {
		var labels []string
		if want.label != "" {
			labels = []string{want.label}
		}
		if v, ok := sample(t, reg, name, labels...); !ok || v != want.value {
			t.Errorf("%s is %v, %v", name, v, ok)
		}
	}
	m.Phi("worker-a", 0, true)
	if v, ok := sample(t, reg, "worker_phi", "worker-a"); ok {
		t.Errorf("worker-a has gone and its level is still %v", v)
	}
	if v, ok := sample(t, reg, "worker_phi", "worker-b"); !ok || v != 1 {
		t.Errorf("worker_phi of worker-b is %v, %v", v, ok)
	}
}
