// Package shared holds messages and a union that contracts of other packages
// use. It has no service.
package shared

import "time"

// Event is a union that lives outside the packages that send it.
//
//rpcnet:union
type Event interface{ isEvent() }

// Created is a variant by value.
type Created struct{ Name string }

// Deleted is a variant by pointer only.
//
//rpcnet:name removed
type Deleted struct{ Name string }

func (Created) isEvent()  {}
func (*Deleted) isEvent() {}

// Page is a generic message.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

// Audit is embedded by messages of other packages.
type Audit struct {
	CreatedAt time.Time `json:"created_at"`
	By        string    `json:"by"`
	Last      Event     `json:"last"`

	hidden int
}

// Priority is an enumeration.
type Priority int8

// The priorities.
const (
	Low  Priority = -1
	High Priority = 1
)

// Touch keeps the unexported field in use.
func (a *Audit) Touch() int { a.hidden++; return a.hidden }
