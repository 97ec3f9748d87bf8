// Package x has the name of a numbered variable of generated functions.
package x

// T is a message of another package.
type T struct{ A int }
