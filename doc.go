// Package rpcnet calls procedures between the nodes of a cluster: unary calls
// and streams in both directions, many at a time over one TLS 1.3 connection
// with certificates on both sides.
//
// An [Endpoint] is one address. It serves a [Server] and dials other endpoints:
//
//	ep, err := rpcnet.Listen("127.0.0.1:62001", rpcnet.CertFiles("node.pem", "node-key.pem", "ca.pem"), nil)
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
// finds workers by gossip, watches them and calls them; package director gives
// workers to callers that are no members; [InProcess] calls a server in the same
// process; package rpctest has servers and faults for tests. All of them are a
// [Transport], so a generated client works over each.
//
// # Errors
//
// A failed call returns an [*Error] with one of gRPC's codes. What a handler
// returns crosses the wire if it is an [*Error] or an error that the contract
// declares; any other leaves as CodeUnknown, without its text.
// [Error.Unprocessed] says that no handler saw the call, so that it may be made
// again anywhere.
//
// # Limits
//
// All are on by default, and an error names the field that raises the limit:
// messages of 4 MiB ([CallOptions].MaxMessageSize, [ServerConfig].MaxMessageSize), metadata of 16 KiB, 10 000 calls
// per connection ([EndpointConfig].MaxConcurrentStreams), 1 GiB of received and unread
// bytes per endpoint (MemoryBudget). A reader that stops stops its
// writer and nobody else. A peer that is silent for 10 s is gone
// (KeepaliveTimeout), and so is one that does not read (WriteTimeout).
//
// # Goroutines
//
// A session has a reader and a writer; handlers run on a pool that the endpoint
// shares; a [Conn] has one goroutine that connects again. Everything ends with
// Close. A caller that is alone on its connection reads its own answer, and
// callers write each other's frames, so most calls wake few goroutines.
package rpcnet
