// Package cbor is the CBOR runtime that the code of rpcnet-gen calls. Programs
// use two of its names, [Raw] and [Limits]; the rest is for generated code, for
// bridges and for codecs written by hand.
//
// What is written is RFC 8949 with core deterministic encoding (section
// 4.2.1): definite lengths, the shortest heads and floats, map keys in the
// bytewise order of their encodings. A struct is a map from field name, or
// field number, to value; a union is a map with one entry, from the variant's
// name to its value. time.Time is RFC 3339 text with tag 0, a nil pointer is
// null, a nil slice or map is an empty one, and numeric slices that ask for it
// are typed arrays of RFC 8746, little endian.
//
// What is read may use any order, any width of a number, and null for "not
// there". A number that does not fit is an error; only floats are rounded, to
// the nearest float32. Refused are indefinite lengths, text that is not UTF-8,
// a known field or a map key twice, and bytes after the message. Memory is
// bounded by [Limits]; a length that the peer declares is never believed beyond
// the bytes that are there.
package cbor
