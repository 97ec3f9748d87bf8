// Package codegen is what generated code imports, and nothing else does: it describes
// procedures and their messages to package rpcnet. Its subpackages have the codecs
// and the helpers of generated code.
package codegen

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// GeneratedV2 is the format of generated files, which name it: one of another
// format does not compile against this runtime, and says there what to do.
const GeneratedV2 = true

// DefaultMaxMessageSize is the limit of one message, in bytes, in either direction,
// where neither the contract nor a config sets one.
const DefaultMaxMessageSize = 4 << 20

// A Spec describes one procedure. Generated code makes one for each method. It is
// immutable once used, and shared by all calls. Programs see it as rpcnet.Spec.
type Spec struct {
	// Procedure is the name on the wire, "/package.Service/Method". The name of a
	// procedure without a contract is any text of 1 to 255 bytes.
	Procedure string
	// Shape says which sides of a call stream. Default [ShapeUnary].
	Shape Shape
	// Idempotency says whether a call can be made twice. Default
	// [IdempotencyUnknown].
	Idempotency Idempotency
	// Timeout is the deadline of a call whose context has none. Default: no
	// deadline.
	Timeout time.Duration
	// MaxMessageSize replaces the client's and the server's limit, in bytes,
	// for this procedure. Default: theirs.
	MaxMessageSize int
	// Limits replace the client's and the server's limits of decoding, where
	// they are not zero, for this procedure.
	Limits cbor.Limits
	// Inline says that the handler never blocks, so that it may run where
	// frames are read. That saves a switch of goroutines for each call, but the
	// rest of the session waits for the handler.
	Inline bool
	// Request and Response encode the messages. The zero value carries bytes
	// as they are: Send takes []byte or *[]byte, Recv *[]byte.
	Request, Response Message
	// Errors encodes the error union of the contract. Nil: it has none.
	Errors *ErrorUnion
	// Route returns the affinity key of the first request. Nil: there is none.
	Route func(req any) string
	// Resume says how a stream goes on on another worker. Nil: it cannot.
	Resume *Resume
	// Doc is the method's comment, for descriptions.
	Doc string
	// Descriptor describes the service of the procedure in JSON, with all its methods
	// and messages, as package schema reads it. A server gives it to who asks with
	// [DescribeProcedure]. Default: the procedure is not described.
	Descriptor string
}

// DescribeProcedure is the procedure with which a server describes its services. The
// request is the name of a service, or empty for all of them, and the response
// what schema.ParseDescription reads. Both are bytes.
const DescribeProcedure = "/rpcnet.v1.Describe"

// A Shape says which sides of a call stream.
type Shape uint8

// The four shapes.
const (
	ShapeUnary        Shape = 0b00                                  // one request, one response
	ShapeClientStream Shape = 0b01                                  // many requests, one response
	ShapeServerStream Shape = 0b10                                  // one request, many responses
	ShapeBidi         Shape = ShapeClientStream | ShapeServerStream // many of both
)

// String returns the shape's name, such as "server stream".
func (s Shape) String() string {
	return [...]string{"unary", "client stream", "server stream", "bidi"}[s&ShapeBidi]
}

// ClientStreams reports whether the client sends many requests.
func (s Shape) ClientStreams() bool { return s&ShapeClientStream != 0 }

// ServerStreams reports whether the server sends many responses.
func (s Shape) ServerStreams() bool { return s&ShapeServerStream != 0 }

// An Idempotency says whether a call can be made twice. The names are those of
// protobuf's idempotency_level.
type Idempotency uint8

// The levels of idempotency.
const (
	// IdempotencyUnknown: the call is made again only if no handler saw it.
	IdempotencyUnknown Idempotency = iota
	// IdempotencyIdempotent: twice has the effect of once.
	IdempotencyIdempotent
	// IdempotencyNoSideEffects: the call only reads.
	IdempotencyNoSideEffects
)

// String returns the level's name, such as "no side effects".
func (i Idempotency) String() string {
	switch i {
	case IdempotencyUnknown:
		return "unknown"
	case IdempotencyIdempotent:
		return "idempotent"
	case IdempotencyNoSideEffects:
		return "no side effects"
	}
	return fmt.Sprintf("Idempotency(%d)", uint8(i))
}

// An Encoding is how the messages of one call are encoded. The caller chooses it,
// and the responses have that of the request.
type Encoding uint8

// The encodings, by their number on the wire.
const (
	EncodingCBOR  Encoding = 0 // RFC 8949, deterministic; also the number of raw bytes
	EncodingJSON  Encoding = 1 // through the contract's descriptor
	EncodingProto Encoding = 2 // protobuf, for procedures whose messages are proto.Message
)

// String returns the encoding's name, such as "cbor".
func (e Encoding) String() string {
	switch e {
	case EncodingCBOR:
		return "cbor"
	case EncodingJSON:
		return "json"
	case EncodingProto:
		return "proto"
	}
	return fmt.Sprintf("Encoding(%d)", uint8(e))
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
	// DecodeNew is Decode into a new message, which it returns, a *T. It allocates
	// less than new and Decode. Nil: only Decode is used, as for unions.
	DecodeNew func(d *cbor.Decoder) any
	// DecodeOver is Decode that uses the memory of what *msg holds again. The result
	// is that of Decode. Nil: Decode is used.
	DecodeOver func(d *cbor.Decoder, msg any)
	// Fits returns an error if a peer that decodes with limits l refuses encoded,
	// which Append has made of msg. The error wraps [cbor.ErrDepth] or
	// [cbor.ErrBudget]. Nil: the message always fits.
	Fits func(msg any, encoded []byte, l cbor.Limits) error
	// Encoding is that of Append and Decode: [EncodingCBOR] or [EncodingProto].
	Encoding Encoding
	// JSON converts between the CBOR and the JSON form. Nil: there is no JSON form.
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
	// Name is the name of the union on the wire.
	Name string
	// Append appends the encoding of the variant found in err's tree. It returns
	// false if there is none.
	Append func(dst []byte, err error) (out []byte, ok bool)
	// Decode returns the variant in d, or nil if it cannot be decoded.
	Decode func(d *cbor.Decoder) error
}

// A Resume says how a response stream is continued after a failure.
type Resume struct {
	// Sequence returns the sequence number of a response, or 0 for a response
	// outside the sequence. The first number is 1.
	Sequence func(res any) uint64
	// From returns a copy of the first request that asks for the responses
	// from number next on.
	From func(req any, next uint64) any
	// Next, if not nil, returns the number that a first request asks for, 0 or 1 for the
	// first: such a request comes from a program that has the responses before it.
	// Nil: every stream begins with the first response.
	Next func(req any) uint64
	// Accepted, if not nil, adds a numbered response to the first request, so
	// that a worker that takes over knows what its predecessors have said. It may
	// change req, the client's own copy, and returns it. It is called in order,
	// once for each response, with the response as Recv has decoded it. It must
	// neither change that nor keep it.
	Accepted func(req, res any) any
}

// A Detail is a detail of an rpcnet.Error as it travels. A caller finds one in
// place of a typed error if its contract does not declare the type.
type Detail struct {
	// Name says what the data is: for an error union its name on the wire.
	Name string
	// Data is encoded as the name's owner says, for unions CBOR.
	Data []byte
}

// Error returns the name and the size.
func (d *Detail) Error() string { return fmt.Sprintf("detail %s of %d bytes", d.Name, len(d.Data)) }

// A Sender is the sending side of a call, such as an rpcnet.ClientStream.
type Sender interface {
	Send(msg any) error
	CloseSend() error
}

// SendOne sends the single request of a call and ends the requests. It returns no
// error if the call has ended: Recv has the reason.
func SendOne(s Sender, req any) error {
	if err := s.Send(req); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := s.CloseSend(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
