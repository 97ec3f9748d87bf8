// Package d has the name of a variable of generated functions.
package d

// T is a message of another package.
type T struct{ A, B int }

// N is a number.
type N int
