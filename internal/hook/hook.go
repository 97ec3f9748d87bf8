// Package hook lets packages of this module reach what others do not export:
// package inproc the root, tests and benchmarks the sockets of a node.
package hook

// Connect is set by the root package. It connects a *rpcnet.Server to a transport
// in the same process. The transport is a rpcnet.Transport; close ends it.
var Connect func(server any) (transport any, close func())
