package workers_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

func TestCallsOfAKeyOrALastWorkerStayOnTheirWorker(t *testing.T) {
	t.Parallel()
	h := start(t, "director")
	// On a machine that starves the test nobody is late.
	patient := workers.PhiConfig{AvoidPause: time.Minute, SuspectPause: time.Minute}
	hashed := routingOn(t, h, workers.RegistryConfig{Strategy: balance.ConsistentHash, Phi: patient}, nil)
	sticky := routingOn(t, h, workers.RegistryConfig{Strategy: balance.StickyUntilFull, Phi: patient}, nil)
	for i := range 3 {
		startWorker(t, fmt.Sprint("worker-", i), h, workerOptions{config: workers.WorkerConfig{Capacity: 8}})
	}
	hashed.ready(t, 3)
	sticky.ready(t, 3)
	for _, c := range []*workers.Client{hashed.client, sticky.client} { // no call goes elsewhere because a dial is slow
		for r := range c.CallAll(t.Context(), "compute", nil, "") {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
	}
	owners := map[string]bool{}
	for k := range 12 {
		ctx := with(t, rpcnet.CallOptions{AffinityKey: fmt.Sprint("session-", k)})
		var first string
		for i := range 5 {
			out, err := hashed.client.CallWorker(ctx, "compute", nil, "")
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = string(out)
			} else if string(out) != first {
				t.Errorf("a call of session %d went to %s, the first to %s", k, out, first)
			}
		}
		owners[first] = true
	}
	if len(owners) < 2 {
		t.Errorf("12 keys are all owned by %v", owners)
	}
	for range 20 {
		out, err := sticky.client.CallWorker(with(t, rpcnet.CallOptions{LastWorker: "worker-1"}), "compute", nil, "")
		if err != nil || string(out) != "worker-1" {
			t.Errorf("with a last worker: %q, %v", out, err)
		}
	}
}
