// Package hostile has a message for each way to attack a decoder.
package hostile

import "context"

// S takes it.
//
//rpcnet:service
type S interface {
	M(ctx context.Context, h *H) (*H, error)
	Wide(ctx context.Context, w *Wide) (*H, error)
}

// Item is 72 bytes of memory for 1 on the wire.
type Item struct {
	SKU    string
	Qty    int
	Price  float64
	Labels []string
}

// Node is recursive through a pointer.
type Node struct{ C *Node }

// Tree is recursive through a slice.
type Tree struct{ K []Tree }

// U is a union whose variants are large.
//
//rpcnet:union
type U interface{ isU() }

// Big is 4 KiB of memory for 6 bytes on the wire.
type Big struct{ Block [64][8]uint64 }

func (Big) isU() {}

// H has a field for each attack.
type H struct {
	S string
	B []byte
	L []Item
	M map[string]string
	N *Node
	T *Tree
	U []U
	P []*Item
	X []struct2
	F []float32
}

type struct2 struct{}

// Wide has more fields than fit into one word.
type Wide struct {
	F00, F01, F02, F03, F04, F05, F06, F07, F08, F09, F10, F11, F12, F13, F14, F15 int
	F16, F17, F18, F19, F20, F21, F22, F23, F24, F25, F26, F27, F28, F29, F30, F31 int
	F32, F33, F34, F35, F36, F37, F38, F39, F40, F41, F42, F43, F44, F45, F46, F47 int
	F48, F49, F50, F51, F52, F53, F54, F55, F56, F57, F58, F59, F60, F61, F62, F63 int
	F64, F65, F66, F67, F68, F69, F70, F71, F72, F73, F74, F75, F76, F77, F78, F79 int
}
