package workers_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// TestFieldTheReasonReachesWhoCanMendIt: a worker whose certificate does not carry
// its address is not "unreachable" alone: the log, the explanation, the worker's
// entry and the caller's error say why.
func TestFieldTheReasonReachesWhoCanMendIt(t *testing.T) {
	t.Parallel()
	creds, err := shared().Credentials("worker.example")
	if err != nil {
		t.Fatal(err)
	}
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	var log testkit.Log
	d, _ := staticRouting(t, slog.New(slog.NewTextHandler(&log, nil)), workerOn(t, ep, "worker-a", workers.WorkerConfig{}))
	within(t, "the reason is known", func() bool {
		w, _ := d.registry.Worker("worker-a")
		return w.Reason != ""
	})
	const reason = "127.0.0.1"
	says := func(where, text string) {
		t.Helper()
		if !strings.Contains(text, "certificate") || !strings.Contains(strings.ReplaceAll(text, ep.Addr().String(), ""), reason) {
			t.Errorf("%s does not say that the certificate does not carry %s: %s", where, reason, text)
		}
	}
	e, err := d.registry.Explain(balance.PickRequest{})
	if err != nil {
		t.Fatal(err)
	}
	says("the explanation", e.String())
	_, err = d.client.CallWorker(t.Context(), "compute", nil, "")
	if err == nil {
		t.Fatal("it was called")
	}
	says("the caller's error", err.Error())
	if strings.Count(err.Error(), "Unavailable") != 1 {
		t.Errorf("the code is told twice: %v", err)
	}
	within(t, "it is told", func() bool { return strings.Contains(log.String(), "level=WARN") })
	says("the log", log.String())
}
