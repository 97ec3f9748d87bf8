package failover

import (
	"context"
	"sync/atomic"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/extend"
)

// A ConnAttempt is the part of an [Attempt] that does not depend on who has chosen
// the worker: the use of one of the client's connections. A picker's attempt embeds
// it and adds End, which calls Done.
type ConnAttempt struct {
	client      *Client
	worker      Worker
	ticket      []byte
	waitInQueue bool // there is no other worker: wait for a connection
	lease       Lease
	ended       atomic.Bool

	// Open and Call set these, and what ends the attempt reads them. Of stream and call
	// one is set once the attempt is open.
	unary  bool
	stream rpcnet.ClientStream
	call   extend.Unary
}

// Init makes a an attempt of a call of c on a worker. ticket goes with the call, and
// waitInQueue says that there is no other worker to try.
func (a *ConnAttempt) Init(c *Client, to Worker, ticket []byte, waitInQueue bool) {
	a.client, a.worker, a.ticket, a.waitInQueue = c, to, ticket, waitInQueue
}

// Worker returns the worker.
func (a *ConnAttempt) Worker() Worker { return a.worker }

// Open connects to the worker and opens the call there.
func (a *ConnAttempt) Open(ctx context.Context, spec *rpcnet.Spec, number int) (rpcnet.ClientStream, error) {
	conn, err := a.Connect(ctx)
	if err != nil {
		return nil, err
	}
	s, err := a.Via(conn, number).NewStream(ctx, spec)
	if err != nil {
		return nil, err
	}
	// The fields are read only after the stream knows this attempt as open.
	a.unary, a.stream = spec.Shape == codegen.ShapeUnary, s
	a.client.Tell(ctx, Event{Kind: Connected, Worker: a.worker.Node, Addr: a.worker.Addr, Attempt: number})
	return s, nil
}

// Call connects to the worker and prepares a unary call there.
func (a *ConnAttempt) Call(ctx context.Context, call extend.Unary, number int) error {
	if err := a.prepare(ctx, call, number); err != nil {
		return err
	}
	a.client.Tell(ctx, Event{Kind: Connected, Worker: a.worker.Node, Addr: a.worker.Addr, Attempt: number})
	return nil
}

// prepare is Call without the event.
func (a *ConnAttempt) prepare(ctx context.Context, call extend.Unary, number int) error {
	conn, err := a.Connect(ctx)
	if err != nil {
		return err
	}
	if err := call.Open(ctx, conn, a.ticket, number); err != nil {
		return err
	}
	a.unary, a.call = true, call
	return nil
}

// Connect returns the connection to the worker, which Done gives back.
func (a *ConnAttempt) Connect(ctx context.Context) (*rpcnet.Conn, error) {
	return a.lease.Take(ctx, a.client.conns, a.worker, a.waitInQueue)
}

// Via returns conn with what goes with the call.
func (a *ConnAttempt) Via(conn *rpcnet.Conn, number int) *rpcnet.Client {
	return rpcnet.NewClient(conn, &rpcnet.ClientConfig{Call: rpcnet.CallOptions{Ticket: a.ticket, Attempt: number}})
}

// Probe asks the worker whether it lives.
func (a *ConnAttempt) Probe(ctx context.Context) error { return a.lease.Probe(ctx) }

// Done gives the connection back after the attempt has ended with err, and reports
// whether this is the first time.
func (a *ConnAttempt) Done(err error) bool {
	if a.ended.Swap(true) {
		return false
	}
	a.lease.Return(err != nil)
	return true
}

// Unary reports whether the call is unary: then its duration says something about
// the worker's speed.
func (a *ConnAttempt) Unary() bool { return a.unary }

// Opened reports whether the call was opened: then its ticket is used.
func (a *ConnAttempt) Opened() bool { return a.stream != nil || a.call != nil }

// Trailer returns the value of a trailer of a call that has ended well, nil if there is
// none. The key ends in "-bin". The value is valid until the end of the call.
func (a *ConnAttempt) Trailer(key string) []byte {
	if a.call != nil {
		return a.call.Trailer(key)
	}
	return []byte(trailer(a.stream, key))
}

// trailer returns the value of a trailer of a stream that has ended, "" if there is
// none.
func trailer(s rpcnet.ClientStream, key string) string {
	t, ok := s.(interface{ Trailer() rpcnet.Header })
	if !ok {
		return ""
	}
	return t.Trailer().Get(key)
}
