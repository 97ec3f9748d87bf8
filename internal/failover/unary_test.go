package failover_test

import (
	"context"
	"sync"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// Each call gets its own answer, although the memory of calls is used again, and some of
// them are given up and made elsewhere while others run.
func TestUnaryCallsThatAreGivenUpAreNotMixedUpWithOthers(t *testing.T) {
	spec := &rpcnet.Spec{Procedure: "same", Idempotency: codegen.IdempotencyNoSideEffects}
	same := func(hangs func(n uint64) bool) []method {
		return []method{{spec, func(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
			var b []byte
			if err := s.Recv(&b); err != nil {
				return err
			}
			if hangs(number(b)) {
				return hang(ctx)
			}
			return s.Send(b)
		}}}
	}
	a := &fakeWorker{name: "a", methods: same(func(n uint64) bool { return n%10 == 0 })}
	a.frozen.Store(true)
	b := &fakeWorker{name: "b", methods: same(func(uint64) bool { return false })}
	bubble(t, func(t *testing.T, c *fakeCluster) {
		for round := range uint64(3) {
			var wg sync.WaitGroup
			for n := 100 * round; n < 100*round+50; n++ {
				wg.Go(func() {
					for range 20 { // as one that hangs waits, others use the memory of those that ended
						var out []byte
						if err := c.CallUnary(t.Context(), spec, bytes(n), &out); err != nil || number(out) != n {
							t.Errorf("%d: %x, %v", n, out, err)
						}
						if n%10 == 0 {
							return
						}
					}
				})
			}
			wg.Wait()
		}
		if n := b.calls.Load(); n != 15 {
			t.Errorf("%d calls were given up and made elsewhere, want 15", n)
		}
	}, a, b)
}

// What decodes a response is the program's, and may panic.
func TestUnaryCallWhoseDecoderPanicsEndsOnItsWorker(t *testing.T) {
	spec := *askSpec
	spec.Request.Append = func(b []byte, _ any) ([]byte, error) { return append(b, 0), nil }
	spec.Response.Append = spec.Request.Append
	spec.Response.Decode = func(*cbor.Decoder, any) { panic("of the program") }
	a := &fakeWorker{name: "a", answer: says("a")}
	bubble(t, func(t *testing.T, c *fakeCluster) {
		func() {
			defer func() {
				if r := recover(); r != "of the program" {
					t.Errorf("recovered %v", r)
				}
			}()
			c.CallUnary(t.Context(), &spec, nil, nil)
		}()
		if len(a.ended) != 1 {
			t.Errorf("the attempt has ended with %v, want one end", a.ended)
		}
		if s := a.tr.(*rpcnet.Conn).Stats(); s.InFlight != 0 {
			t.Errorf("%d calls are in flight, want none", s.InFlight)
		}
		var out []byte
		if err := c.CallUnary(t.Context(), askSpec, []byte{}, &out); err != nil || string(out) != "a" {
			t.Errorf("the next call: %q, %v", out, err)
		}
	}, a)
}
