// Package bridge lets programs without generated code call services over HTTP: curl,
// browsers, and clients of the Connect protocol (https://connectrpc.com/docs/protocol) that
// speak JSON. It carries calls to any [rpcnet.Transport]: a server in the same process, a
// connection, or a pool of workers through a registry or a director. On an endpoint it
// answers on the port that serves sessions and gossip.
//
//	b, err := bridge.New(rpcnet.InProcess(srv), &bridge.Config{
//		Services: []string{"greeting.v1.*"}, Tokens: "tokens.txt",
//	})
//	...
//	stop, err := b.Serve(ep)
//
// The path of a method is that of its procedure: POST /greeting.v1.Greeting/Hello with the
// request in JSON. Responses of streams come as lines of JSON (application/x-ndjson), or as
// events if the caller accepts text/event-stream. docs/bridge.md has all of it.
//
// # Calls
//
// The request of a POST is JSON in the form that package schema writes: an
// object with the names of the contract. Content-Type must be
// application/json; for methods with several requests, application/x-ndjson
// means the same. A method without side effects can be called by GET, with
// ?encoding=json&message={...}. Of the header,
//
//	Authorization       Bearer and a token; not needed with a certificate
//	Connect-Timeout-Ms  how long the call may take
//	Accept              text/event-stream for events in place of lines
//	Last-Event-ID       the last event that was seen of a resumable stream
//
// have an effect. Metadata of rpcnet does not cross, in neither direction.
//
// # Answers
//
// One response is application/json with status 200. An error is an object
// with code, message and details, and its status is the one that Connect has
// for the code, but for a body over the limit, which is 413. A detail has
// the typed error of the contract twice: value is its CBOR in base64, debug
// is JSON.
//
// Responses of a stream are lines of JSON, and an error after the first of
// them is a last line {"error":{...}}. As events they are
//
//	id: 7                          the number, if the stream is resumable
//	data: {"text":"...","seq":7}
//
//	:                              a comment after 15 s of silence
//
//	event: error                   the last, with the error, or
//	data: {"code":"...","message":"..."}
//
//	event: end                     the last of a stream that has succeeded
//	data: {}
//
// A stream that ends with neither has been cut: a browser reconnects by
// itself, and with Last-Event-ID goes on with the next number. So does a
// program. While the process shuts down, resumable streams end with
// "retry: 100", so that this happens at once.
//
// # Tokens
//
// The file of [Config].Tokens has a line for each token:
//
//	SHA-256-OF-THE-TOKEN ROLE NAME   # comment
//
// with a role of call, view or admin. The name is for the log and for the
// limits of memory. A token should be random, of 128 bits or more: the hash
// has no salt.
//
// # What strangers reach
//
// A request passes, in this order:
//
//	guard    the Host is one of ours, the Origin is ours or allowed
//	health   /livez and /readyz answer everybody
//	auth     a certificate, or a token of the file; everything else is 401 without a text
//	role     what the caller may do
//	catalog  the allow-list of services, and what their servers describe
//	body     bounded in size and time, and by a budget for each caller
//	call     over the transport
//
// Nothing before auth reads a body, asks a server or allocates for the path.
//
// # Goroutines and locks
//
// A Bridge has one goroutine of its own while [Bridge.Serve] is in force, that of net/http,
// which has one for each connection. A stream whose requests are sent while its responses
// come has one more. The table of methods is replaced as a whole and read without a lock;
// one request at a time asks the servers for a new one. Each stream has a lock for its
// writer, which a comment of the heartbeat takes as well.
package bridge
