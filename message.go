package rpcnet

import (
	"errors"
	"fmt"
	"sync"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// A buffer is a pooled byte slice. It has one owner at a time. It is a struct so that the
// pool holds pointers, which cost no allocation when they go back.
type buffer struct{ b []byte }

// keepBuffer is the largest buffer that goes back to the pool: one for a
// message of the default limit.
const keepBuffer = codegen.DefaultMaxMessageSize + 64<<10

// buffers has buffers for messages on their way to the session, which copies them.
var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 512)} }}

// getBuffer returns an empty buffer, which the caller gives back with put.
func getBuffer() *buffer { return buffers.Get().(*buffer) }

// put gives the buffer back. One that a large message has grown is left to the garbage
// collector.
func (b *buffer) put() {
	if cap(b.b) > keepBuffer {
		return
	}
	b.b = b.b[:0]
	buffers.Put(b)
}

// decoders has decoders: they hold a stack for nested values.
var decoders = sync.Pool{New: func() any { return new(cbor.Decoder) }}

// isRaw reports whether m carries bytes as they are: a procedure without a contract has
// no codec.
func isRaw(m *codegen.Message) bool { return m.Append == nil }

// appendMessage appends the encoding of msg, which a peer takes that decodes
// with limits l, or with the defaults if those are wider.
func appendMessage(dst []byte, spec *Spec, m *codegen.Message, enc codegen.Encoding, msg any, l *messageLimits) ([]byte, error) {
	if isRaw(m) {
		// Both forms are allowed, so that a forwarder can send what it has received.
		switch msg := msg.(type) {
		case []byte:
			return append(dst, msg...), nil
		case *[]byte:
			return append(dst, *msg...), nil
		}
		return dst, fmt.Errorf("a raw procedure sends []byte or *[]byte, not %T", msg)
	}
	// The contract's own encoding needs no conversion.
	if enc == m.Encoding {
		return appendFitting(m, dst, spec, msg, l)
	}
	b := getBuffer()
	defer b.put()
	var err error
	if b.b, err = appendFitting(m, b.b, spec, msg, l); err != nil {
		return dst, err
	}
	return m.JSON.AppendJSON(dst, b.b)
}

// appendFitting is appendMessage in the encoding of m.
func appendFitting(m *codegen.Message, dst []byte, spec *Spec, msg any, l *messageLimits) ([]byte, error) {
	out, err := m.Append(dst, msg)
	if err != nil || m.Fits == nil {
		return out, err
	}
	// What the peer would refuse fails here, where the program that made the message sees
	// it.
	encoded := out[len(dst):]
	sent := l.forSending(len(encoded))
	if err := m.Fits(msg, encoded, sent); err != nil {
		l := *l
		l.Limits = sent
		return out, l.named(err, len(encoded))
	}
	return out, nil
}

// decodeRaw copies p into msg, a *[]byte.
func decodeRaw(p []byte, msg any) error {
	if b, ok := msg.(*[]byte); ok {
		*b = append((*b)[:0], p...)
		return nil
	}
	return notBytes(msg)
}

// notBytes returns the error of a raw procedure that receives into something else.
func notBytes(msg any) error {
	return Errorf(CodeInternal, "a raw procedure receives *[]byte, not %T", msg)
}

// A destination says where a message is decoded to, which decides what memory it takes.
// Users of streams choose into, generated code the others.
type destination uint8

const (
	into  destination = iota // a message, whose memory is left to who has parts of it
	over                     // a message, whose memory is used again
	fresh                    // a new message; the type has a DecodeNew
)

// decodeMessage decodes p into msg, a pointer, or for fresh into a new message, which it
// returns. It keeps nothing of p.
func decodeMessage(m *codegen.Message, enc codegen.Encoding, p []byte, msg any, to destination, l cbor.Limits) (any, error) {
	if isRaw(m) { // bytes as they are have no limits
		return msg, decodeRaw(p, msg)
	}
	d := decoders.Get().(*cbor.Decoder)
	msg, err := decodeWith(d, m, enc, p, msg, to, l)
	decoders.Put(d)
	return msg, err
}

// decodeWith is decodeMessage with a decoder, for messages that are not raw. The decoder
// belongs to the caller, who may keep it for the next message of the same stream.
func decodeWith(d *cbor.Decoder, m *codegen.Message, enc codegen.Encoding, p []byte, msg any, to destination, l cbor.Limits) (any, error) {
	// The caller chose JSON: the codec reads the contract's own encoding.
	if enc != m.Encoding {
		b := getBuffer()
		defer b.put()
		var err error
		if b.b, err = m.JSON.AppendCBOR(b.b, p); err != nil {
			return nil, err
		}
		p = b.b
	}
	d.Reset(p, l)
	switch {
	case to == fresh:
		msg = m.DecodeNew(d)
	case to == over && m.DecodeOver != nil:
		m.DecodeOver(d, msg)
	default:
		m.Decode(d, msg)
	}
	err := d.Finish()
	d.Reset(nil, cbor.Limits{}) // it keeps nothing of the message
	return msg, err
}

// speaks reports whether m can have the encoding.
func speaks(m *codegen.Message, enc codegen.Encoding) bool {
	return isRaw(m) && enc == codegen.EncodingCBOR || !isRaw(m) && (enc == m.Encoding || enc == codegen.EncodingJSON && m.JSON != nil)
}

// encodingOf returns the encoding of a call's messages: the one that its caller
// chose by name, else the contract's.
func encodingOf(spec *Spec, opts *CallOptions) (codegen.Encoding, error) {
	if opts.Encoding == "" {
		return spec.Request.Encoding, nil
	}
	for _, e := range encodings {
		if opts.Encoding == e.String() {
			return e, nil
		}
	}
	return 0, Errorf(CodeInvalidArgument, "CallOptions.Encoding is %.40q: want one of %v", opts.Encoding, encodings)
}

// encodings are the encodings there are, in the order of their numbers.
var encodings = [...]codegen.Encoding{codegen.EncodingCBOR, codegen.EncodingJSON, codegen.EncodingProto}

// checkEncoding says which encodings a procedure speaks if enc is none of them.
func checkEncoding(spec *Spec, enc codegen.Encoding) error {
	if speaks(&spec.Request, enc) && speaks(&spec.Response, enc) {
		return nil
	}
	var names []string
	for _, e := range encodings {
		if speaks(&spec.Request, e) && speaks(&spec.Response, e) {
			names = append(names, e.String())
		}
	}
	return Errorf(CodeUnimplemented, "procedure %q does not speak encoding %d (%v): it speaks %v", spec.Procedure, enc, enc, names)
}

// This file says what sets a limit of a call, in the words of its errors.

// What may set a limit.
const (
	setByMaxSize      = "maxsize= of the method (//rpcnet:limits)"
	setByMaxSizeHere  = "rpcnet.CallOptions.MaxMessageSize of the client or the call"
	setByMaxSizeThere = "rpcnet.ServerConfig.MaxMessageSize of the server"
	setByNothing      = "the default for a procedure that the server does not have"
	setByBudget       = "budget= of the method (//rpcnet:limits)"
	setByDepth        = "depth= of the method (//rpcnet:limits)"
	setByCaller       = "rpcnet.CallOptions.DecodeLimits of the client or the call"
	setByServer       = "rpcnet.ServerConfig.DecodeLimits of the server"
)

// messageLimits bound the cost of decoding one message of a procedure.
//
// The sender cannot know the limits of the receiver, unless the contract sets them. So
// it checks against the wider of its own and the defaults: what passes may still be
// refused by a receiver with tighter limits, and what fails would have been refused by
// one with the defaults.
type messageLimits struct {
	cbor.Limits              // the procedure's own where it has some, else what setBy says
	own         *cbor.Limits // of the procedure
	setBy       string       // what sets those that the procedure leaves open
}

// callLimits returns the limits of a procedure for its caller.
func callLimits(spec *Spec, opts *CallOptions) messageLimits {
	return messageLimits{mergedLimits(spec.Limits, opts.DecodeLimits), &spec.Limits, setByCaller}
}

// serverLimits returns the limits of a procedure for its server.
func serverLimits(spec *Spec, cfg *ServerConfig) messageLimits {
	return messageLimits{mergedLimits(spec.Limits, cfg.DecodeLimits), &spec.Limits, setByServer}
}

// mergedLimits returns own where it is not zero, and chosen elsewhere.
func mergedLimits(own, chosen cbor.Limits) cbor.Limits {
	if own.Depth == 0 { // not cmp.Or: this runs for each message
		own.Depth = chosen.Depth
	}
	if own.Budget == 0 {
		own.Budget = chosen.Budget
	}
	return own
}

// forSending returns what a message of n bytes is held to when it is sent: the
// limits of its procedure. Where it has none the peer's count, which are not
// known: then it is the wider of this side's and the defaults.
func (l *messageLimits) forSending(n int) cbor.Limits {
	sent := l.Limits
	var defaults cbor.Limits
	// Nearly all messages have the defaults: the rest takes longer than to encode a small one.
	if sent == defaults {
		return sent
	}
	if l.own.Depth == 0 && sent.DepthLimit() < defaults.DepthLimit() {
		sent.Depth = 0
	}
	if l.own.Budget == 0 && sent.BudgetFor(n) < defaults.BudgetFor(n) {
		sent.Budget = 0
	}
	return sent
}

// named returns err, an error of a message of n bytes, with what sets the limit
// that the message is over, if it is over one.
func (l messageLimits) named(err error, n int) error {
	setBy := l.setBy
	switch {
	case errors.Is(err, cbor.ErrBudget):
		if l.own.Budget != 0 {
			setBy = setByBudget
		}
		return fmt.Errorf("%w; the limit is %d bytes, which is set by %s", err, l.BudgetFor(n), setBy)
	case errors.Is(err, cbor.ErrDepth):
		if l.own.Depth != 0 {
			setBy = setByDepth
		}
		return fmt.Errorf("%w; the limit is %d levels, which is set by %s", err, l.DepthLimit(), setBy)
	}
	return err
}

// sizeSetBy says what sets the size of the messages of a call, as its caller
// sees it.
func sizeSetBy(spec *Spec, opts *CallOptions) string {
	if opts.MaxMessageSize == 0 && spec.MaxMessageSize != 0 {
		return setByMaxSize
	}
	return setByMaxSizeHere
}

// sizeSetBy says what sets the size of the messages of e.
func (e *entry) sizeSetBy() string {
	if e.spec.MaxMessageSize != 0 {
		return setByMaxSize
	}
	return setByMaxSizeThere
}
