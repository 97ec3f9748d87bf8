//go:build unix

package workers_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
)

// BenchmarkUnary compares unary calls through a client with those on connections of
// their own, for one caller and for 64 of them. Both sides run in this process.
func BenchmarkUnary(b *testing.B) {
	one, conn := unaryOver(b, 1)
	ten, conns := unaryOver(b, 10)
	idempotent := &rpcnet.Spec{Procedure: "compute", Idempotency: codegen.IdempotencyNoSideEffects}
	plain := &rpcnet.Spec{Procedure: "compute"}
	deadline, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	for _, c := range []struct {
		name string
		rc   interface {
			Unary(ctx context.Context, spec *rpcnet.Spec, req, res any) error
		}
		spec *rpcnet.Spec
		ctx  context.Context
	}{
		{"direct", conn, plain, context.Background()},
		{"routed", rpcnet.NewClient(one, nil), plain, context.Background()},
		{"direct10", conns, plain, context.Background()},
		{"routed10", rpcnet.NewClient(ten, nil), plain, context.Background()},
		{"idempotent", rpcnet.NewClient(one, nil), idempotent, context.Background()},
		{"deadline", rpcnet.NewClient(one, nil), idempotent, deadline},
	} {
		in := make([]byte, 32)
		// measured runs f and reports the processor time of a call beside its duration.
		measured := func(b *testing.B, f func()) {
			b.ReportAllocs()
			before := testkit.ProcessorTime(b)
			f()
			b.ReportMetric(float64(testkit.ProcessorTime(b)-before)/float64(b.N), "cpu-ns/op")
		}
		b.Run(c.name+"/callers=1", func(b *testing.B) {
			measured(b, func() {
				var out []byte
				for range b.N {
					if err := c.rc.Unary(c.ctx, c.spec, in, &out); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
		b.Run(c.name+"/callers=64", func(b *testing.B) {
			b.SetParallelism(64 / runtime.GOMAXPROCS(0))
			measured(b, func() {
				b.RunParallel(func(pb *testing.PB) {
					var out []byte
					for pb.Next() {
						if err := c.rc.Unary(c.ctx, c.spec, in, &out); err != nil {
							b.Error(err)
						}
					}
				})
			})
		})
	}
}
