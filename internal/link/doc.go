// Package link opens encrypted connections: it reads and reloads certificates,
// configures TLS, verifies peers, and makes of a TCP connection the lane that a
// session runs on. It knows nothing of frames or calls.
package link
