package conformance_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/conformance"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTLSOverTCP(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T, srv *rpcnet.Server) conformance.Link {
		ep := rpctest.Serve(t, srv, nil)
		addr := ep.Addr().String()
		return conformance.Link{
			Transport: rpctest.Dial(t, addr, nil),
			Drain:     ep.Shutdown,
			Unsteady: func() (rpcnet.Transport, func()) {
				p := rpctest.NewProxy(t, addr)
				return rpctest.Dial(t, p.Addr(), nil), p.Cut
			},
		}
	})
}

// In process there is neither a drain nor a connection to lose: Close is the end
// of both sides.
func TestInProcess(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T, srv *rpcnet.Server) conformance.Link {
		tr := rpcnet.InProcess(srv)
		t.Cleanup(func() { tr.Close() })
		return conformance.Link{Transport: tr}
	})
}
