// Package protocost lets package cbor ask what a protobuf message costs to
// decode without importing protobuf: package protobuf answers.
package protocost

// Of returns how many bytes of memory decoding m, a proto.Message, takes. It is
// set when the program starts, by package protobuf, without which no contract
// has such fields.
var Of = func(m any) int64 { return 0 }
