// Package stub is what generated code is made of: typed sequences and handles
// over the streams of package rpcnet, and the handlers and codecs of methods.
// Programs meet its handles ([BidiCall] and the like) and need nothing else of
// it.
//
// A type parameter E is a message as the contract spells it: *M for a struct M,
// U for a union U. The package has no goroutines but the one that sends the
// request sequence of a call ([CallClientStream], [CallBidi]).
package stub
