package workers_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/workers"
)

// unaryOver returns a client over n workers without a cluster, and connections to them.
func unaryOver(t testing.TB, n int) (*workers.Client, *direct) {
	t.Helper()
	var members []cluster.Member
	for i := range n {
		members = append(members, staticWorker(t, fmt.Sprintf("worker-%d", i)))
	}
	ep := listen(t, "127.0.0.1:0")
	r, err := workers.NewStaticRegistry(ep, workers.NewStaticMembers(members...), &workers.RegistryConfig{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	c, err := workers.NewClient(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	(&routing{registry: r, client: c}).ready(t, n)
	conns := new(direct)
	for _, m := range members {
		conn, err := ep.Dial(t.Context(), m.Addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conns.clients = append(conns.clients, rpcnet.NewClient(conn, nil))
	}
	return c, conns
}

// direct are connections that calls are made on in turn.
type direct struct {
	clients []*rpcnet.Client
	next    atomic.Uint64
}

// Unary makes a call.
func (d *direct) Unary(ctx context.Context, spec *rpcnet.Spec, req, res any) error {
	return d.clients[d.next.Add(1)%uint64(len(d.clients))].Unary(ctx, spec, req, res)
}

// aStream is a transport of a user that makes each call with a stream.
type aStream struct {
	*workers.Client
	made int
}

func (s *aStream) NewStream(ctx context.Context, spec *rpcnet.Spec) (rpcnet.ClientStream, error) {
	s.made++
	return s.Client.NewStream(ctx, spec)
}

// What a caller sees of a unary call is the same by the short cut as by a stream.
func TestUnaryShortCutIsAsAStream(t *testing.T) {
	t.Parallel()
	client, _ := unaryOver(t, 1)
	stream := &aStream{Client: client}
	seen := func(tr rpcnet.Transport, o rpcnet.CallOptions) string {
		served := ""
		o.ServedBy = func(to rpcnet.Target, addr string) { served += to.Node + addr }
		ctx, call := rpcnet.NewCall(t.Context(), o)
		var out []byte
		err := rpcnet.NewClient(tr, nil).Unary(ctx, &rpcnet.Spec{Procedure: "seen"}, []byte("in"), &out)
		first, total := call.Timings()
		keys := slices.Sorted(maps.Keys(call.Trailer()))
		return fmt.Sprintf("%q %v, by %s of %q, header %v, trailer %v %q, %d attempts, timed %v %v",
			out, err, served, call.Peer().ID, call.Header(), keys, call.Trailer().Get("t"), call.Attempts(), first > 0, total >= first)
	}
	for _, o := range []rpcnet.CallOptions{
		{},
		{Header: rpcnet.Header{"h": {"1", "2"}}, Priority: 3, Attempt: 7},
		{Header: rpcnet.Header{"rpcnet-ticket-bin": {"not a ticket"}}},
		{Ticket: []byte("not a ticket"), Idempotent: true},
		{Header: rpcnet.Header{"": {"refused"}}},
		{Encoding: "json"},
		{MaxMessageSize: 1},
		{Selector: "role=none"},
		{Selector: "("},
	} {
		want, got := seen(stream, o), seen(client, o)
		if o.MaxMessageSize != 0 { // it was not sent: only a stream was opened for it
			want, _, _ = strings.Cut(want, ", by ")
			got, _, _ = strings.Cut(got, ", by ")
		}
		if got != want {
			t.Errorf("%+v: by the short cut\n%s, by a stream\n%s", o, got, want)
		}
	}
	if got, want := seen(client, rpcnet.CallOptions{}), `"in: [] of [rpcnet-ticket-bin], priority 0, attempt 0" <nil>`; !strings.HasPrefix(got, want) {
		t.Errorf("the handler has seen %s, want %s", got, want)
	}
	// A handler that sets no trailer leaves it to the worker's load.
	ctx, call := rpcnet.NewCall(t.Context(), rpcnet.CallOptions{})
	if _, err := client.CallWorker(ctx, "compute", nil, ""); err != nil || len(call.Trailer()) != 1 || call.Trailer().Get("rpcnet-load-bin") == "" {
		t.Errorf("%v, the trailer is %q, want the worker's load", err, call.Trailer())
	}
	if stream.made == 0 {
		t.Error("the short cut passes by the NewStream of a type that embeds a client")
	}
}

// A unary call through a client makes few allocations, both sides together, when 64
// callers share the worker. It counts those of the whole process, so it does not run
// beside other tests.
func TestUnaryAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and sync.Pool drops at random under it")
	}
	const callers, each = 64, 200
	client, _ := unaryOver(t, 1)
	for _, c := range []struct {
		spec *rpcnet.Spec
		most float64
	}{
		{&rpcnet.Spec{Procedure: "compute"}, mostAllocations},
		{&rpcnet.Spec{Procedure: "compute", Idempotency: codegen.IdempotencyNoSideEffects}, mostAllocations},
	} {
		rc := rpcnet.NewClient(client, nil)
		round := func() uint64 {
			var before, after runtime.MemStats
			var wg sync.WaitGroup
			runtime.ReadMemStats(&before)
			for range callers {
				wg.Go(func() {
					in, out := make([]byte, 32), []byte(nil)
					for range each {
						if err := rc.Unary(context.Background(), c.spec, in, &out); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			runtime.ReadMemStats(&after)
			return after.Mallocs - before.Mallocs
		}
		round() // pools fill, stacks and buffers grow
		best := round()
		for range 4 {
			best = min(best, round())
		}
		if per := float64(best) / (callers * each); per > c.most {
			t.Errorf("%v: %.2f allocations per call, want at most %v", c.spec.Idempotency, per, c.most)
		} else {
			t.Logf("%v: %.2f allocations per call", c.spec.Idempotency, per)
		}
	}
}

// mostAllocations is how many a call may make.
const mostAllocations = 6

// CallAll makes few allocations for each worker, both sides together. It counts those of
// the whole process, so it does not run beside other tests.
func TestCallAllAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and sync.Pool drops at random under it")
	}
	// More than of a unary call: some of each worker's report, and of the goroutine.
	const count, rounds, most = 20, 20, 12
	client, _ := unaryOver(t, count)
	in, best := make([]byte, 32), math.Inf(1)
	for range 6 { // the first ones fill pools, grow stacks and buffers
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			for r := range client.CallAll(t.Context(), "compute", in, "") {
				if r.Err != nil {
					t.Fatalf("%s: %v", r.Worker.Name, r.Err)
				}
			}
		}
		runtime.ReadMemStats(&after)
		best = min(best, float64(after.Mallocs-before.Mallocs)/(count*rounds))
	}
	if best > most {
		t.Errorf("%.2f allocations for each worker, want at most %d", best, most)
	} else {
		t.Logf("%.2f allocations for each worker", best)
	}
}
