// Package hook lets package inproc reach what the root package does not
// export.
package hook

// Connect is set by the root package. It connects a *rpcnet.Server to a transport
// in the same process. The transport is a rpcnet.Transport; close ends it.
var Connect func(server any) (transport any, close func())
