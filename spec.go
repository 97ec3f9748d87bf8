package rpcnet

import "github.com/rpcnet-go/rpcnet/codegen"

// A Spec describes one procedure. Generated code makes one for each method; an
// interceptor reads it. It is immutable once used, and shared by all calls.
// Without a contract, a Procedure name and a Shape are enough: the messages are
// then bytes.
type Spec = codegen.Spec
