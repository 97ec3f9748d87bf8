// Package oracle has a message that fxamacker/cbor encodes to the same bytes.
package oracle

import (
	"context"
	"time"
)

// S sends it.
//
//rpcnet:service
type S interface {
	M(ctx context.Context, v *Value) (*Value, error)
}

// Value has what both know.
type Value struct {
	Embedded
	Bool    bool               `json:"bool"`
	Int     int                `json:"int"`
	Int8    int8               `json:"int8"`
	Int16   int16              `json:"int16"`
	Int32   int32              `json:"int32"`
	Int64   int64              `json:"int64"`
	Uint    uint               `json:"uint"`
	Uint8   uint8              `json:"uint8"`
	Uint16  uint16             `json:"uint16"`
	Uint32  uint32             `json:"uint32"`
	Uint64  uint64             `json:"uint64"`
	Float32 float32            `json:"float32"`
	Float64 float64            `json:"float64"`
	String  string             `json:"string"`
	Long    string             `json:"a_name_that_is_longer_than_twenty_three_bytes"`
	Bytes   []byte             `json:"bytes"`
	Array   [3]int16           `json:"array"`
	Strings []string           `json:"strings"`
	Nested  [][]int64          `json:"nested"`
	Floats  []float32          `json:"floats"`
	Doubles []float64          `json:"doubles"`
	Map     map[string]string  `json:"map"`
	Ints    map[int]string     `json:"ints"`
	Uints   map[uint16][]uint8 `json:"uints"`
	Ptr     *string            `json:"ptr"`
	PtrInt  *int64             `json:"ptr_int"`
	Node    *Node              `json:"node"`
	Nodes   map[string]Node    `json:"nodes"`
	Time    time.Time          `json:"time"`
	Took    time.Duration      `json:"took"`
	Point   Point              `json:"point"`
	Points  []*Point           `json:"points"`
	Opt     string             `json:"opt,omitempty"`
	OptPtr  *Point             `json:"opt_ptr,omitempty"`
	OptList []string           `json:"opt_list,omitempty"`
}

// Embedded is flattened.
type Embedded struct {
	By string `json:"by"`
	B2 bool   `json:"b2"`
}

// Node is recursive.
type Node struct {
	Value string  `json:"value"`
	Next  *Node   `json:"next"`
	Kids  []*Node `json:"kids"`
}

// Point has numbers for names.
type Point struct {
	X float64 `rpc:"x,key=1" cbor:"1,keyasint"`
	Y float64 `rpc:"y,key=2" cbor:"2,keyasint"`
	Z int     `rpc:"z,key=300" cbor:"300,keyasint"`
}
