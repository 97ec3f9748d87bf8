package rpcnet

import (
	"time"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// A Shape says which sides of a call stream.
type Shape uint8

// The four shapes.
const (
	Unary  Shape = 0b00          // one request, one response
	Upload Shape = 0b01          // many requests, one response
	Feed   Shape = 0b10          // one request, many responses
	Bidi   Shape = Upload | Feed // many of both
)

// String returns the shape's name.
func (s Shape) String() string {
	return [...]string{"unary", "upload", "feed", "bidi"}[s&Bidi]
}

// An Idempotency says whether a call may be made twice.
type Idempotency uint8

// The idempotency levels.
const (
	// MayHaveSideEffects, the zero value: made again only if no handler saw it.
	MayHaveSideEffects Idempotency = iota
	// Idempotent: twice has the effect of once.
	Idempotent
	// NoSideEffects: only reads.
	NoSideEffects
)

// A Spec describes one procedure. Generated code makes one per method; it is
// immutable once used and shared by all calls.
type Spec struct {
	// Procedure is the wire name, "/package.Service/Method"; a raw procedure is
	// any non-empty name of at most 255 bytes.
	Procedure   string
	Shape       Shape
	Idempotency Idempotency
	// Timeout is the deadline of a call whose context has none. 0: none.
	Timeout time.Duration
	// MaxMessageSize replaces the client's and the server's limit, in bytes,
	// for this procedure. 0: theirs.
	MaxMessageSize int
	// Limits replace the client's and the server's limits of decoding, where
	// they are not zero, for this procedure.
	Limits cbor.Limits
	// Inline says that the handler never blocks, so that it may run where
	// frames are read: one goroutine switch less per call, and everything else
	// on the session waits for it.
	Inline bool
	// Request and Response encode the messages. The zero value carries bytes
	// as they are: Send takes []byte or *[]byte, Recv *[]byte.
	Request, Response Message
	// Errors encodes the error union of the contract, nil if it has none.
	Errors *ErrorUnion
	// Route returns the affinity key of the first request, nil if none.
	Route func(req any) string
	// Resume says how a stream goes on on another worker, nil if it cannot.
	Resume *Resume
	// Doc is the method's comment, for descriptions.
	Doc string
}

// An Encoding is how the messages of one call are encoded. The caller chooses,
// the response follows the request.
type Encoding uint8

// The encodings, by their number on the wire.
const (
	CBOR  Encoding = 0 // RFC 8949, deterministic; also the number of raw bytes
	JSON  Encoding = 1 // through the contract's descriptor
	Proto Encoding = 2 // protobuf, for procedures whose messages are proto.Message
)

// String returns the encoding's name.
func (e Encoding) String() string {
	switch e {
	case CBOR:
		return "cbor"
	case JSON:
		return "json"
	case Proto:
		return "proto"
	}
	return "unknown"
}

// A Message encodes and decodes one message type. Its functions are safe for
// concurrent use.
type Message struct {
	// Append appends the encoding of msg to dst: a *T for a struct T, the
	// value itself for a union.
	Append func(dst []byte, msg any) ([]byte, error)
	// Decode decodes the message in d into msg, a *T. It keeps nothing of d's
	// input. The caller resets d before and checks d.Finish after.
	Decode func(d *cbor.Decoder, msg any)
	// Fits says whether a peer that decodes with limits l takes encoded, which
	// Append has made of msg. The error wraps [cbor.ErrDepth] or [cbor.ErrBudget].
	// Nil: it always does.
	Fits func(msg any, encoded []byte, l cbor.Limits) error
	// Encoding of Append and Decode: [CBOR] or [Proto].
	Encoding Encoding
	// JSON converts between the CBOR and the JSON form; nil if there is none.
	JSON Transcoder
}

// A Transcoder converts a message between its CBOR and its JSON form. It is
// safe for concurrent use.
type Transcoder interface {
	// AppendJSON appends the JSON form of a message in CBOR to dst.
	AppendJSON(dst, cbor []byte) ([]byte, error)
	// AppendCBOR appends the CBOR form of a message in JSON to dst.
	AppendCBOR(dst, json []byte) ([]byte, error)
}

// An ErrorUnion carries the typed errors of a contract across the wire.
type ErrorUnion struct {
	// Name is the wire name of the union.
	Name string
	// Append appends the encoding of the variant found in err's tree; ok is
	// false if there is none.
	Append func(dst []byte, err error) (out []byte, ok bool)
	// Decode returns the variant in d, or nil if it cannot be decoded.
	Decode func(d *cbor.Decoder) error
}

// A Resume says how a response stream is continued after a failure.
type Resume struct {
	// Sequence returns the sequence number of a response; 0 for a response
	// outside the sequence. The first is 1.
	Sequence func(res any) uint64
	// From returns a copy of the first request that asks for the responses
	// from number next on.
	From func(req any, next uint64) any
	// Accepted, if not nil, adds a numbered response to the first request, so
	// that a worker that takes over knows what its predecessors have said. It may
	// change req, the client's own copy, and returns it. It is called in order,
	// once for each, with the response as Recv has decoded it, and must neither
	// change that nor keep it.
	Accepted func(req, res any) any
}

// A Method binds a [Spec] to its handler.
type Method struct {
	Spec    *Spec
	Handler ServerFunc
	// Role is what a caller's certificate must allow ([Roles]); others are
	// refused with CodePermissionDenied. Default RoleClient. It is not asked for
	// calls in process.
	Role Role
}
