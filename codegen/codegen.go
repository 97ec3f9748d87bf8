// Package codegen is what generated code imports, and nobody else: it describes
// procedures and their messages to package rpcnet, and its subpackages have the
// codecs.
package codegen

// DefaultMaxMessageSize is the limit of one message, in bytes, in either direction,
// where neither the contract nor a config sets one.
const DefaultMaxMessageSize = 4 << 20
