// Package tlsconn makes the connections that sessions run on: TLS over TCP,
// accepted from a port or dialled, and a pipe of the same shape inside the
// process. It knows nothing of frames or calls. Whose certificates are shown and
// accepted is the business of package credentials.
package tlsconn
