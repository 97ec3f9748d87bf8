package rpcnet

import "context"

// CallFrom returns the record of the calls made with ctx (see [NewCall]), or
// nil if nobody keeps one. For transports, which must not put a record of their
// own in its place.
func CallFrom(ctx context.Context) *Call { return callFrom(ctx) }
