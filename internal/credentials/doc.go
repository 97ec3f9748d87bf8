// Package credentials holds the TLS material of a node. It reads certificate, key and
// authorities from files or from memory, takes over renewed files, configures TLS,
// verifies the certificates of peers, and says which identity a certificate proves.
// It also issues certificates for development and tests. It opens no connections:
// see package tlsconn.
//
// # Material and Source
//
// A material is one consistent set: certificate with intermediates, key and
// authorities. It is immutable. A [Source] has one current material, and replaces it
// as a whole:
//
//	files changed -- load, parse, compare --> good: becomes current
//	                                     \-> bad: logged once, the old one stays
//
// Each handshake takes the current material, so that new files take effect on the
// next connection.
//
// # Verification
//
// TLS 1.3 on both sides, a certificate from both sides, and sessions that are never
// resumed. crypto/x509 builds the chain, within limits that are checked before
// (verify.go): what a peer shows must not cost more than a few signatures. A server's
// certificate must carry the name that was dialled (name.go); what a client's
// certificate says decides its role elsewhere.
//
// # Errors
//
// Every error of a file is one line that says which file, what is wrong, and if
// possible what would be right. No error and no log line contains a key.
package credentials
