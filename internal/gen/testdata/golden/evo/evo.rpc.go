// Package evo has one message and its changed forms, with names and with
// numbers on the wire.
package evo

import "context"

// S sends each of them.
//
//rpcnet:service
type S interface {
	V1(ctx context.Context, r *V1) (*KV1, error)
	Add(ctx context.Context, r *Add) (*KAdd, error)
	Rem(ctx context.Context, r *Rem) (*KRem, error)
	Ren(ctx context.Context, r *Ren) (*KRen, error)
	Kept(ctx context.Context, r *Kept) (*V1, error)
	Reo(ctx context.Context, r *Reo) (*KReo, error)
	Str(ctx context.Context, r *Str) (*KStr, error)
	Wid(ctx context.Context, r *Wid) (*KWid, error)
	Flt(ctx context.Context, r *Flt) (*KFlt, error)
	Opt(ctx context.Context, r *Opt) (*KOpt, error)
}

// V1 is the first form.
type V1 struct {
	A string
	B int32
	C string
}

// Add has one field more.
type Add struct {
	A string
	B int32
	C string
	D string
}

// Rem has one less.
type Rem struct{ A, C string }

// Ren has another name.
type Ren struct {
	A  string
	B  int32
	C2 string
}

// Kept has another Go name and the old one on the wire.
type Kept struct {
	A  string
	B  int32
	C2 string `rpc:"c"`
}

// Reo has another order.
type Reo struct {
	C string
	B int32
	A string
}

// Str has a text for a number.
type Str struct{ A, B, C string }

// Wid has a wider number.
type Wid struct {
	A string
	B int64
	C string
}

// Flt has a float for an integer.
type Flt struct {
	A string
	B float64
	C string
}

// Opt has an optional.
type Opt struct {
	A string
	B *int32
	C string
}

// KV1 is V1 with numbers.
type KV1 struct {
	A string `rpc:"a,key=1"`
	B int32  `rpc:"b,key=2"`
	C string `rpc:"c,key=3"`
}

// KAdd is Add with numbers.
type KAdd struct {
	A string `rpc:"a,key=1"`
	B int32  `rpc:"b,key=2"`
	C string `rpc:"c,key=3"`
	D string `rpc:"d,key=4"`
}

// KRem is Rem with numbers.
type KRem struct {
	A string `rpc:"a,key=1"`
	C string `rpc:"c,key=3"`
}

// KRen is Ren with numbers.
type KRen struct {
	A  string `rpc:"a,key=1"`
	B  int32  `rpc:"b,key=2"`
	C2 string `rpc:"c2,key=3"`
}

// KReo is Reo with numbers.
type KReo struct {
	C string `rpc:"c,key=3"`
	B int32  `rpc:"b,key=2"`
	A string `rpc:"a,key=1"`
}

// KStr is Str with numbers.
type KStr struct {
	A string `rpc:"a,key=1"`
	B string `rpc:"b,key=2"`
	C string `rpc:"c,key=3"`
}

// KWid is Wid with numbers.
type KWid struct {
	A string `rpc:"a,key=1"`
	B int64  `rpc:"b,key=2"`
	C string `rpc:"c,key=3"`
}

// KFlt is Flt with numbers.
type KFlt struct {
	A string  `rpc:"a,key=1"`
	B float64 `rpc:"b,key=2"`
	C string  `rpc:"c,key=3"`
}

// KOpt is Opt with numbers.
type KOpt struct {
	A string `rpc:"a,key=1"`
	B *int32 `rpc:"b,key=2"`
	C string `rpc:"c,key=3"`
}
