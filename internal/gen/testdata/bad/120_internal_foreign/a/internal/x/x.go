// Package x is internal to a.
package x

type X struct{ N int }
