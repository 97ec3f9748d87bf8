package failover

import (
	"context"
	"errors"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
)

// ProbeSpec is the procedure with which a caller asks whether a silent worker lives. It
// answers with the bytes that it is sent. Its handler runs where frames are read
// (Inline), so a worker whose handlers are all busy answers too.
var ProbeSpec = &rpcnet.Spec{Procedure: "/cluster.v1.Worker/Probe", Idempotency: codegen.IdempotencyNoSideEffects, Inline: true, MaxMessageSize: 64}

// ServeProbe serves [ProbeSpec].
func ServeProbe(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
	var b []byte
	if err := s.Recv(&b); err != nil {
		return err
	}
	return s.Send(b)
}

// Ping asks the worker behind t whether it lives. Any answer, even an error
// of a server that knows no probes, is nil.
func Ping(ctx context.Context, t rpcnet.Transport) error {
	var out []byte
	err := rpcnet.NewClient(t, nil).Unary(ctx, ProbeSpec, []byte{}, &out)
	var e *rpcnet.Error
	if errors.As(err, &e) && e.Remote() {
		return nil
	}
	return err
}
