//go:build unix

package director_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/workers"
)

// BenchmarkUnary makes unary calls of 64 callers through a client of a director. All
// sides run in this process. BenchmarkUnary of package workers is its counterpart.
func BenchmarkUnary(b *testing.B) {
	for _, n := range []int{1, 10} {
		b.Run(fmt.Sprint("workers=", n), func(b *testing.B) {
			d := startDirector(b, "director", "", "")
			for i := range n {
				startWorker(b, fmt.Sprint("worker-", i), "", d.addr, workers.WorkerConfig{}, func(_ *process, srv *rpcnet.Server) {
					srv.Handle("echo", testkit.Echo)
				})
			}
			ready(b, d, n)
			c := dial(b, director.ClientConfig{}, d.addr)
			spec, in := &rpcnet.Spec{Procedure: "echo"}, make([]byte, 32)
			rc := rpcnet.NewClient(c, nil)
			b.ReportAllocs()
			b.SetParallelism(64 / runtime.GOMAXPROCS(0))
			b.ResetTimer()
			before := testkit.ProcessorTime(b)
			b.RunParallel(func(pb *testing.PB) {
				var out []byte
				for pb.Next() {
					if err := rc.Unary(context.Background(), spec, in, &out); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(testkit.ProcessorTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}
