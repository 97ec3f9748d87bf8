// Package greeting is the contract of docs/contracts.md: the smallest service,
// with one method of one answer, one of many, and a typed error.
package greeting

import (
	"context"
	"iter"
)

//go:generate go tool rpcnet-gen

// Greeting greets people.
//
//rpcnet:service greeting.v1.Greeting
//rpcnet:errors GreetingError
type Greeting interface {
	// Hello greets once.
	//
	//rpcnet:nosideeffects timeout=2s
	Hello(ctx context.Context, req *HelloRequest) (*HelloResponse, error)
	// Count greets as often as it is asked to.
	Count(ctx context.Context, req *CountRequest) iter.Seq2[*HelloResponse, error]
}

// HelloRequest names who is greeted.
type HelloRequest struct{ Name string }

// CountRequest names who is greeted, and how often.
type CountRequest struct {
	Name  string
	Times int
}

// HelloResponse is one greeting.
type HelloResponse struct{ Text string }

// GreetingError is what the methods fail with.
//
//rpcnet:errors
type GreetingError interface {
	error
	isGreetingError()
}

// NoName says that the request has no name.
type NoName struct{ Hint string }

func (e *NoName) Error() string  { return "no name: " + e.Hint }
func (*NoName) isGreetingError() {}
