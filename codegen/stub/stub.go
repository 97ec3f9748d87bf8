// Package stub is what generated code is made of: typed sequences and handles
// over the streams of package rpcnet, and the handlers and codecs of methods.
// Programs meet its handles ([BidiCall] and the like) and need nothing else of
// it.
//
// A type parameter E is a message as the contract spells it: *M for a struct M,
// U for a union U. The package has no goroutines but the one that sends the
// request sequence of a call ([CallClientStream], [CallBidi]).
package stub

// GeneratedV2 is the format of generated files, which name it: one of another
// format does not compile against this runtime, and says there what to do.
const GeneratedV2 = true
