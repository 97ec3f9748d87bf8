package director_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/workers"
)

// BenchmarkUnary makes unary calls through a client of a director with one worker. All
// sides run in this process.
func BenchmarkUnary(b *testing.B) {
	d := startDirector(b, "director", "", "")
	startWorker(b, "worker", "", d.addr, workers.WorkerConfig{}, func(_ *process, srv *rpcnet.Server) {
		srv.Handle("echo", testkit.Echo)
	})
	ready(b, d, 1)
	c := dial(b, director.ClientConfig{}, d.addr)
	spec, in := &rpcnet.Spec{Procedure: "echo"}, make([]byte, 32)
	rc := rpcnet.NewClient(c, nil)
	b.ReportAllocs()
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		var out []byte
		for pb.Next() {
			if err := rc.Unary(context.Background(), spec, in, &out); err != nil {
				b.Error(err)
			}
		}
	})
}
