package conformance_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/inproc"
	"github.com/rpcnet-go/rpcnet/internal/conformance"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTLSOverTCP(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T, srv *rpcnet.Server) rpcnet.Transport {
		return rpctest.Dial(t, rpctest.Serve(t, srv).Addr().String())
	})
}

func TestInProcess(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T, srv *rpcnet.Server) rpcnet.Transport {
		tr := inproc.New(srv)
		t.Cleanup(func() { tr.Close() })
		return tr.Transport.(statsTransport)
	})
}

type statsTransport interface {
	rpcnet.Transport
	Stats() rpcnet.ConnStats
}
