// Package sparse has messages that take much more memory than bytes.
package sparse

import (
	"context"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// Sparse takes them.
//
//rpcnet:service
type Sparse interface {
	Rows(ctx context.Context, t *Table) (*Table, error)
	Tree(ctx context.Context, t *Tree) (*Tree, error)
	Shape(ctx context.Context, s Shape) (Shape, error)
	//rpcnet:limits maxsize=1MiB depth=8 budget=64KiB
	Narrow(ctx context.Context, t *Tree) (*Tree, error)
}

// Table is a list of rows.
type Table struct{ Rows []Row }

// Row is 320 bytes of memory, and 1 on the wire when it is empty.
type Row struct {
	ID      int               `rpc:",omitempty"`
	Name    string            `rpc:",omitempty"`
	Labels  map[string]string `rpc:",omitempty"`
	Parents []*Row            `rpc:",omitempty"`
	Hidden  *Row              `rpc:"-"`
	Cells
}

// Cells are part of a row.
type Cells struct {
	A, B, C, D, E, F, G, H string   `json:",omitempty"`
	I, J, K, L, M          []string `json:",omitempty"`
}

// Tree is as deep as one likes.
type Tree struct {
	Kids []Tree            `rpc:"k,omitempty"`
	Side map[string]*Tree  `rpc:"s,omitempty"`
	Data cbor.Raw          `rpc:"d,omitempty"`
	Text map[int]string    `rpc:"t,omitempty"`
	Many map[string][]Tree `rpc:"m,omitempty"`
}

// Shape is a union whose variants are large.
//
//rpcnet:union
type Shape interface{ isShape() }

// Block is 2 KiB.
type Block struct{ Data [256]uint64 }

// Group has others.
type Group struct{ Shapes []Shape }

func (*Block) isShape() {}
func (Group) isShape()  {}
