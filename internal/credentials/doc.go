// Package credentials holds the TLS material of a node: it reads certificates, keys
// and authorities from files or from memory, takes over renewed files, configures
// TLS, verifies the certificates of peers, and says who a peer is. It also issues
// certificates for development and tests. It opens no connections: see package
// tlsconn.
package credentials
