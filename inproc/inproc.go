// Package inproc calls a server in the same process, without a network: for
// tests, and for programs that are a client and a server in one. Calls behave
// as they do between machines, because it is the same protocol over a pipe:
// messages are encoded and copied, limits, deadlines, cancellation and flow
// control hold. There are no certificates: [rpcnet.ServerCall.Peer] is empty.
// There is no drain and no connection to lose, either: [Transport.Close] fails
// the calls in flight, [rpcnet.ServerCall.Draining] is never closed, and what was
// closed stays so, also for calls with [rpcnet.WithWaitForReady].
//
// It works inside a testing/synctest bubble.
package inproc

import (
	"context"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/hook"
)

// A Transport is a [rpcnet.Transport] to a server in the same process. It is
// safe for concurrent use and must be closed.
type Transport struct {
	rpcnet.Transport
	close func()
}

// New returns a transport to srv.
func New(srv *rpcnet.Server) *Transport {
	t, close := hook.Connect(srv)
	return &Transport{t.(rpcnet.Transport), close}
}

// NewStream implements [rpcnet.Transport].
func (t *Transport) NewStream(ctx context.Context, spec *rpcnet.Spec) (rpcnet.ClientStream, error) {
	return t.Transport.NewStream(ctx, spec)
}

// Close ends the transport; calls in flight fail. It is idempotent and always
// returns nil.
func (t *Transport) Close() error {
	t.close()
	return nil
}
