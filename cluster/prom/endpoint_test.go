package prom_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster/prom"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

func TestAnEndpointsFiguresAreCollected(t *testing.T) {
	t.Parallel()
	ca, err := rpctest.NewDevCA()
	if err != nil {
		t.Fatal(err)
	}
	creds, err := ca.Credentials()
	if err != nil {
		t.Fatal(err)
	}
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: slog.New(slog.DiscardHandler), MemoryBudget: 100 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	conn, err := rpcnet.Dial(t.Context(), ep.Addr().String(), creds, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	release, err := extend.Reserve(ep, conn.Peer(), "watches", 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for deadline := time.Now().Add(10 * time.Second); ep.Stats().Sessions == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(prom.Endpoint(ep)); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "rpcnet_endpoint_")
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"sessions": 1, "streams": 0, "certificate_refused": 0, "memory_bytes watches": 1000, "memory_limit_bytes": 100 << 20, "memory_peers": 1,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, want %v: %v", name, v, want, got)
		}
	}
	if at := time.Unix(int64(got["certificate_expiry_timestamp_seconds"]), 0); at.Before(time.Now().AddDate(0, 11, 0)) {
		t.Errorf("the certificate expires at %v, want in a year", at)
	}
	if got["memory_used_bytes"] < 1000 || got["memory_largest_peer_bytes"] < 1000 {
		t.Errorf("what is kept is not all counted: %v", got)
	}
}
