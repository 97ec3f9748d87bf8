// Package kinds has a contract with every shape and every kind of field.
package kinds

import (
	"context"
	"iter"
	"math/big"
	"net/netip"
	"net/url"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/shared"
)

// Kinds has a method of each shape.
//
// Its comment has a second paragraph with a `quoted` word.
//
//rpcnet:service kinds.v1.Kinds
//rpcnet:errors Failure
type Kinds interface {
	// Unary takes one and gives one.
	//
	//rpcnet:nosideeffects timeout=2s
	//rpcnet:route Name
	Unary(ctx context.Context, req *All) (*All, error)
	// Feed takes one and gives many.
	//
	//rpcnet:resumable Seq from=Since accepted=Ticks
	//rpcnet:idempotent maxsize=1MiB depth=32 budget=8MiB
	Feed(ctx context.Context, req *FeedRequest) iter.Seq2[*Tick, error]
	// Upload takes many and gives one.
	//
	//rpcnet:name Put
	//rpcnet:route ID
	Upload(ctx context.Context, in iter.Seq2[*Tick, error]) (*Count, error)
	// Bidi takes many and gives many.
	//
	//rpcnet:resumable Seq accepted=Texts
	Bidi(ctx context.Context, in iter.Seq2[*Empty, error]) iter.Seq2[Answer, error]
	//rpcnet:inline
	Union(ctx context.Context, in Answer) (Answer, error)
	Foreign(ctx context.Context, e shared.Event) (*shared.Page[Node], error)
	Proto(ctx context.Context, in *wrapperspb.StringValue) (*wrapperspb.Int64Value, error)
	ProtoFeed(ctx context.Context, in *wrapperspb.StringValue) iter.Seq2[*wrapperspb.Int64Value, error]
	Raw(ctx context.Context, in *cbor.Raw) (*cbor.Raw, error)
}

// All has a field of each kind.
type All struct {
	shared.Audit
	base

	Name     string            `rpc:"name,max=1000"`
	Bool     bool              `rpc:"bool"`
	Int      int               // the platform's
	Int8     int8              `json:"i8"`
	Int16    int16             `json:"i16,omitempty"`
	Int32    int32             //
	Int64    int64             //
	Uint     uint              //
	Uint8    uint8             //
	Uint16   uint16            //
	Uint32   uint32            //
	Uint64   uint64            //
	Float32  float32           //
	Float64  float64           //
	Bytes    []byte            `rpc:",max=100"`
	Fixed    [4]byte           //
	Array    [3]int16          //
	Strings  []string          `rpc:",max=10"`
	Nested   [][]int           //
	Floats   []float32         //
	Packed32 []float32         `rpc:",packed,max=1000"`
	Packed64 []float64         `rpc:",packed"`
	PackedI  []int16           `rpc:",packed"`
	PackedU  []uint64          `rpc:",packed"`
	PackedB  []int8            `rpc:",packed"`
	Map      map[string]string `rpc:",max=100"`
	IntMap   map[int8][]string //
	UintMap  map[uint32]Node   //
	Level    map[Level]Level   //

	Time     time.Time
	Duration time.Duration
	Addr     netip.Addr
	AddrPort *netip.AddrPort
	Big      *big.Int
	URL      url.URL
	Priority shared.Priority
	Mood     Mood
	Flags    Flags

	Ptr      *string
	PtrInt   *int64
	Node     *Node
	Chain    [][]Node
	Union    Answer
	Unions   []Answer
	ByName   map[string]shared.Event
	Page     shared.Page[shared.Page[string]]
	Raw      cbor.Raw
	Proto    *wrapperspb.StringValue
	Opt      string    `rpc:"opt,omitempty"`
	OptPtr   *Node     `rpc:",omitempty"`
	OptTime  time.Time `rpc:",omitempty"`
	OptPoint Point     `rpc:",omitempty"`
	OptList  []Point   `rpc:",omitempty"`
	Skipped  chan int  `rpc:"-"`
	Secret   string    `json:"-"`
	hidden   int
}

type base struct {
	// Origin is promoted from an unexported struct.
	Origin string
}

// Level is text with a name.
type Level string

// Mood is an enumeration of texts.
type Mood string

// The moods.
const (
	Happy Mood = "happy"
	Sad   Mood = "sad"
)

// Flags is a named slice of a named type.
type Flags []Flag

// Flag is one of them.
type Flag uint8

// Node is recursive through a pointer and a map.
type Node struct {
	Value    string
	Next     *Node
	Children map[string]*Node
}

// Point has numbered fields.
type Point struct {
	X float64 `rpc:"x,key=1"`
	Y float64 `rpc:"y,key=2"`
	Z float64 `rpc:"z,key=300,omitempty"`
}

// FeedRequest asks for ticks.
type FeedRequest struct {
	Since uint32
	Count int
	Ticks []*Tick
}

// Tick is one message of a stream.
type Tick struct {
	ID   int64
	Seq  uint64
	Data []byte
}

// Count is a sum.
type Count struct{ N, Bytes int64 }

// Empty has no fields; nearly.
type Empty struct {
	ResumeFrom uint64
	Texts      []AnswerText
}

// Nothing has none.
type Nothing struct{}

// Answer is a union.
//
//rpcnet:union
type Answer interface{ isAnswer() }

// AnswerText is called text.
type AnswerText struct {
	Text string
	Seq  uint64
}

// AnswerNumber is a variant by pointer, without a sequence.
type AnswerNumber struct{ N int }

// AnswerNothing has no fields.
type AnswerNothing struct{ Nothing }

// AnswerMany holds other answers.
type AnswerMany struct {
	Answers []Answer
	Seq     uint16
}

func (AnswerText) isAnswer()    {}
func (*AnswerNumber) isAnswer() {}
func (AnswerNothing) isAnswer() {}
func (AnswerMany) isAnswer()    {}

// Failure is what the methods fail with.
//
//rpcnet:errors
//rpcnet:name kinds.v1.Failure
type Failure interface {
	error
	isFailure()
}

// NotFound is an error by value.
type NotFound struct{ Name string }

// Overloaded is an error by pointer.
type Overloaded struct{ RetryAfter time.Duration }

func (e NotFound) Error() string    { return "not found: " + e.Name }
func (e *Overloaded) Error() string { return "overloaded, retry after " + e.RetryAfter.String() }
func (NotFound) isFailure()         {}
func (*Overloaded) isFailure()      {}
