// Package protobuf lets contracts use protobuf messages: generated code
// imports it when the request and the response of a method are proto.Message,
// which then travel as protobuf, or when a field of a struct is one, which
// then is a byte string. The rest of rpcnet does not need protobuf.
package protobuf

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/internal/protocost"
)

// maxDepth is how deep messages may nest. protobuf-go's own limit, 10 000,
// lets a small message take megabytes of stack.
const maxDepth = 100

// errDepth is not [cbor.ErrDepth], since no option changes this limit.
var errDepth = fmt.Errorf("nested too deep: protobuf messages nest at most %d levels, whatever the options", maxDepth)

// errShort is the error for a group that does not end.
//
// It has the words that package cbor has for the same.
var errShort = errors.New("unexpected end of input")

var (
	// Maps are written in the order of their keys, so that the same message
	// has the same bytes within one version of protobuf-go.
	marshal   = proto.MarshalOptions{Deterministic: true}
	unmarshal = proto.UnmarshalOptions{RecursionLimit: maxDepth}
)

// Message returns the codec of messages of type M, such as *pb.Point.
//
// The message is encoded with its own marshaler. Decoding charges the budget
// first, see plan. Its JSON is that of protobuf, with the names of the .proto
// file.
func Message[M proto.Message]() codegen.Message {
	return codegen.Message{
		Append: func(dst []byte, msg any) ([]byte, error) {
			// A nil pointer in an interface is not valid.
			m, ok := msg.(M)
			if !ok || !m.ProtoReflect().IsValid() {
				return dst, fmt.Errorf("message is %T, want a non-nil %T", msg, m)
			}
			return marshal.MarshalAppend(dst, m)
		},
		Decode: func(d *cbor.Decoder, msg any) {
			m, ok := msg.(M)
			if !ok || !m.ProtoReflect().IsValid() {
				d.Fail(rpcnet.Errorf(rpcnet.CodeInternal, "message goes into %T, want a non-nil %T", msg, m))
				return
			}
			decode(d, d.Rest(), m)
		},
		DecodeNew: func(d *cbor.Decoder) any {
			m := transcoder[M]{}.empty()
			decode(d, d.Rest(), m)
			return m
		},
		Fits: func(msg any, encoded []byte, l cbor.Limits) error {
			return fits(msg.(M), encoded, l)
		},
		Encoding: codegen.EncodingProto,
		JSON:     transcoder[M]{},
	}
}

// AppendField appends m as a byte string.
//
// Encoding fails for a message that is changed meanwhile, and for one that is
// too deep for any receiver.
func AppendField(b cbor.Buffer, m proto.Message) (cbor.Buffer, error) {
	// The head of a byte string comes first, so that the size is computed
	// before.
	size := marshal.Size(m)
	b = b.AppendBytesHead(size)
	start := len(b)
	var err error
	b, err = marshal.MarshalAppend(b, m)
	// Then the head is wrong, and so is everything after it.
	if err == nil && len(b)-start != size {
		err = fmt.Errorf("protobuf message changed while it was encoded")
	}
	if err == nil {
		// The depth is limited under any budget; that is checked
		// with the whole message.
		err = fits(m, b[start:], cbor.Limits{Budget: -1})
	}
	return b, err
}

// fits says whether a decoder with limits l takes p, the wire form of m. The
// form is read only if what is known of its type leaves that open.
//
// Most messages are too short to be over a limit, which their length and two
// numbers of the type tell.
func fits(m proto.Message, p []byte, l cbor.Limits) error {
	plan := planOf(m.ProtoReflect())
	worst, deep := plan.measure()
	// A level of depth, and a part that costs more than its bytes, has two bytes.
	if (!deep || len(p) < 2*maxDepth) && int64(len(p)/2)*worst <= l.BudgetFor(len(p))-int64(len(p)) {
		return nil
	}
	var d cbor.Decoder
	d.Reset(p, l)
	plan.chargeAll(&d, p)
	return d.Err()
}

// The cost of a field, for what holds it.
func init() {
	// Package cbor must not depend on protobuf, and computes costs: so the
	// function is put there when this package is linked.
	protocost.Of = func(m any) int64 {
		// The cost is computed from the encoding, as a receiver does.
		b, err := marshal.Marshal(m.(proto.Message))
		if err != nil {
			return 0 // the encoder says so
		}
		var d cbor.Decoder
		d.Reset(b, cbor.Limits{Budget: -1})
		before := d.Left()
		planOf(m.(proto.Message).ProtoReflect()).chargeAll(&d, b)
		return before - d.Left()
	}
}

// DecodeField reads a byte string into m.
//
// The message must be empty: protobuf merges what it reads into what is there.
func DecodeField(d *cbor.Decoder, m proto.Message) {
	if p := d.ViewBytes(); d.Err() == nil {
		decode(d, p, m)
	}
}

// decode charges what the message costs, then reads p into m. An error of
// either is one of d.
func decode(d *cbor.Decoder, p []byte, m proto.Message) {
	// Before anything is allocated.
	planOf(m.ProtoReflect()).chargeAll(d, p)
	if d.Err() != nil {
		return
	}
	if err := unmarshal.Unmarshal(p, m); err != nil {
		d.Fail(err)
	}
}

// transcoder converts between protobuf and protobuf's JSON form.
//
// It has the limits of JSON and not those of the decoder, since protojson has
// none of its own.
type transcoder[M proto.Message] struct{}

// empty returns a new message: M is a pointer, whose zero value is nil.
func (transcoder[M]) empty() M {
	var m M
	return m.ProtoReflect().Type().New().Interface().(M)
}

// AppendJSON appends the JSON form of a message in protobuf to dst.
//
// An error of the message is that of protobuf.
func (t transcoder[M]) AppendJSON(dst, p []byte) ([]byte, error) {
	m := t.empty()
	if err := unmarshal.Unmarshal(p, m); err != nil {
		return dst, err
	}
	out, err := protojson.MarshalOptions{}.MarshalAppend(dst, m)
	if err != nil {
		return dst, err
	}
	// What one side writes the other can read.
	return out, checkJSON(out[len(dst):], planOf(m.ProtoReflect()))
}

// AppendCBOR appends the protobuf form of a message in JSON to dst: for these
// messages it stands where CBOR stands for others.
func (t transcoder[M]) AppendCBOR(dst, json []byte) ([]byte, error) {
	m := t.empty()
	// protojson has no budget: the text is looked at before.
	if err := checkJSON(json, planOf(m.ProtoReflect())); err != nil {
		return dst, err
	}
	if err := (protojson.UnmarshalOptions{RecursionLimit: maxDepth}).Unmarshal(json, m); err != nil {
		return dst, err
	}
	return marshal.MarshalAppend(dst, m)
}
