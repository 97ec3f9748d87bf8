//go:build unix

package cluster_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/workers"
)

// Scenario 8 with a process: the exact times are those of the tests that play
// the workers.
func TestAWorkersProcessThatIsStoppedComesBackAndFailsForNobody(t *testing.T) {
	t.Parallel()
	for _, stop := range []time.Duration{300 * time.Millisecond, time.Second} {
		t.Run(stop.String(), func(t *testing.T) {
			t.Parallel()
			dir := certDir(t)
			h := local(t, dir, "director")
			r, err := workers.NewRegistry(h.Node, &workers.RegistryConfig{Logger: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close() })
			worker := func(name string) *process {
				return launch(t, childConfig{Dir: dir, Name: name, Listen: "127.0.0.1:0", Seeds: addrs(h), Worker: true})
			}
			worker("steady")
			p := worker("stopped")
			ready(t, r, 2)
			within(t, "its rhythm is known", func() bool {
				i, ok := r.Worker("stopped")
				return ok && i.Heartbeats.Mean > 40*time.Millisecond && time.Since(i.Joined) > 2*time.Second
			})
			p.signal(t, syscall.SIGSTOP)
			begun := time.Now()
			if stop >= time.Second {
				within(t, "it is suspected", func() bool { return len(h.Events(cluster.KindNodeSuspected, "stopped")) > 0 })
				t.Logf("suspected after %v", time.Since(begun))
			}
			time.Sleep(time.Until(begun.Add(stop)))
			p.signal(t, syscall.SIGCONT)
			back := time.Now()
			within(t, "it is ready and alive", func() bool {
				i, ok := r.Worker("stopped")
				return ok && i.Status == "ready" && i.State == cluster.StateAlive
			})
			t.Logf("stopped for %v, back after %v", back.Sub(begun), time.Since(back))
			if stop >= time.Second {
				h.Wait(t, cluster.KindNodeRecovered, "stopped")
			}
			// A test that was itself starved has stopped it for longer.
			if es := h.Events(cluster.KindNodeFailed, ""); len(es) > 0 && back.Sub(begun) < stop+100*time.Millisecond {
				t.Errorf("failed:\n%s", lines(es))
			}
		})
	}
}

// ready waits until n workers can be chosen.
func ready(t testing.TB, r *workers.Registry, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := r.WaitReady(ctx, n); err != nil {
		t.Fatalf("%v\n%v", err, r.Workers())
	}
}
