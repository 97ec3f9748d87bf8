// Package tlsconn makes the connections that sessions run on: TLS over TCP,
// accepted from a port or dialled, and a pipe of the same shape inside the
// process. It knows nothing of frames or calls. Package credentials decides which
// certificate is shown and which are accepted.
//
// # How bytes move
//
// A [Conn] is a tls.Conn over a gathered connection, which sits between TLS and the
// socket:
//
//	session -- plain bytes --> tls.Conn -- records --> gathered -- system calls --> socket
//
// TLS writes each record (16 KiB at most) with one call. A large message would so
// cost one system call a record. gathered collects the records of one write and
// hands them to the system together, and reads as much as has come into a buffer
// from which TLS takes its records.
//
// # Errors and limits
//
// A handshake takes at most [HandshakeTimeout] and reads at most
// credentials.MaxHandshake bytes. Texts of a peer in an error are cut to a length
// for logs.
package tlsconn
