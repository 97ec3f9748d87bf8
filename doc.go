// Package rpcnet calls procedures between the nodes of a cluster: unary calls
// and streams in both directions, many at a time over one TLS 1.3 connection
// with certificates on both sides.
//
// An [Endpoint] is one address. It serves a [Server] and dials other endpoints:
//
//	creds := rpcnet.CertFiles("node.pem", "node-key.pem", "ca.pem")
//	ep, err := rpcnet.Listen("127.0.0.1:62001", creds, nil)
//	srv := rpcnet.NewServer(nil)
//	inference.RegisterInference(srv, &model{}) // generated from a Go interface
//	err = ep.Serve(ctx, srv)
//
//	conn, err := ep.Dial(ctx, "127.0.0.1:62002", nil)
//	client := inference.NewInferenceClient(conn)
//	for token, err := range client.Generate(ctx, prompts) { ... }
//
// Contracts are plain Go interfaces; the command rpcnet-gen writes client,
// server and codec. Without a contract, bytes go in and out: [CallRaw],
// [Server.Handle], [Server.HandleStream].
//
// # Where things are
//
// This package has what a connection between two nodes needs. Package cluster
// has the members of a cluster, package workers chooses among those that run
// calls, and package director gives workers to callers that are no members.
// [InProcess] calls a server in the same process. A [*Conn], a [*Client],
// workers.Client and director.Client are each a [Transport], so a generated client
// works over all of them. Package rpctest has servers, authorities and faults for
// tests. What is below the folder codegen is for generated code.
//
// # Configuration
//
// Each constructor takes a pointer to a config struct as its last parameter:
// [EndpointConfig], [DialConfig], [ServerConfig], [ClientConfig]. Nil means every
// default, and so does a zero field. The struct is copied, so that the same one can
// serve again.
//
// What goes with a call is one value, [CallOptions]. [NewCall] puts it into a
// context, and brings back what came with the answer:
//
//	ctx, call := rpcnet.NewCall(ctx, rpcnet.CallOptions{Header: rpcnet.Header{"tenant": {"blue"}}})
//	res, err := client.Embed(ctx, req)
//	served, cost := call.Peer().ID, call.Trailer().Get("cost")
//
// A client has defaults for all its calls, [ClientConfig].Call. A handler reads the
// other side with [ServerCallFrom].
//
// # Interceptors
//
// An interceptor is a function from the next [ServerFunc] or [ClientFunc] to
// another one. It runs around a whole call, of any shape, before anything is
// decoded: it can refuse the call, read and set metadata, replace the context, wrap
// the stream, and see the outcome.
//
// # Errors
//
// A failed call returns an [*Error] with one of gRPC's codes. What a handler
// returns crosses the wire if it is an [*Error] or an error that the contract
// declares. Any other error leaves as CodeUnknown, without its text.
// [Error.Unprocessed] says that no handler saw the call, so that another attempt is
// safe anywhere.
//
// # Limits
//
// All are on by default, and an error names the field that raises the limit:
// messages of 4 MiB ([CallOptions].MaxMessageSize, [ServerConfig].MaxMessageSize),
// metadata of 16 KiB, 10 000 calls for each connection
// ([EndpointConfig].MaxConcurrentStreams), 1 GiB of received and unread bytes for
// each endpoint (MemoryBudget). A slow reader blocks only its own sender. A peer that
// is silent for 10 s is gone (KeepaliveTimeout), and so is one that does not read
// (WriteTimeout).
//
// # Goroutines
//
// A session has a reader and a writer; handlers run on a pool that the endpoint
// shares; a [Conn] has one goroutine that connects again. Everything ends with
// Close. A caller that is alone on its connection reads its own answer, and
// callers write each other's frames, so most calls wake few goroutines.
package rpcnet
