package rpcnet

import (
	"fmt"
	"sync"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// A buffer is a pooled byte slice. It has one owner at a time.
type buffer struct{ b []byte }

// keepBuffer is the largest buffer that goes back to the pool: one for a
// message of the default limit.
const keepBuffer = codegen.DefaultMaxMessageSize + 64<<10

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 512)} }}

func getBuffer() *buffer { return buffers.Get().(*buffer) }

func (b *buffer) put() {
	if cap(b.b) > keepBuffer {
		return
	}
	b.b = b.b[:0]
	buffers.Put(b)
}

var decoders = sync.Pool{New: func() any { return new(cbor.Decoder) }}

// isRaw reports whether m carries bytes as they are.
func isRaw(m *codegen.Message) bool { return m.Append == nil }

// appendMessage appends the encoding of msg, which a peer takes that decodes
// with limits l, or with the defaults if those are wider.
func appendMessage(dst []byte, spec *Spec, m *codegen.Message, enc codegen.Encoding, msg any, l messageLimits) ([]byte, error) {
	if isRaw(m) {
		switch msg := msg.(type) {
		case []byte:
			return append(dst, msg...), nil
		case *[]byte:
			return append(dst, *msg...), nil
		}
		return dst, fmt.Errorf("a raw procedure sends []byte or *[]byte, not %T", msg)
	}
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
func appendFitting(m *codegen.Message, dst []byte, spec *Spec, msg any, l messageLimits) ([]byte, error) {
	out, err := m.Append(dst, msg)
	if err != nil || m.Fits == nil {
		return out, err
	}
	encoded := out[len(dst):]
	l = l.forSending(len(encoded))
	if err := m.Fits(msg, encoded, l.Limits); err != nil {
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

func notBytes(msg any) error {
	return Errorf(CodeInternal, "a raw procedure receives *[]byte, not %T", msg)
}

// decodeMessage decodes p into msg, a pointer. It keeps nothing of p.
func decodeMessage(spec *Spec, m *codegen.Message, enc codegen.Encoding, p []byte, msg any, limits messageLimits) error {
	if isRaw(m) {
		return decodeRaw(p, msg)
	}
	if enc != m.Encoding {
		b := getBuffer()
		defer b.put()
		var err error
		if b.b, err = m.JSON.AppendCBOR(b.b, p); err != nil {
			return err
		}
		p = b.b
	}
	d := decoders.Get().(*cbor.Decoder)
	d.Reset(p, limits.Limits)
	m.Decode(d, msg)
	err := d.Finish()
	d.Reset(nil, cbor.Limits{})
	decoders.Put(d)
	if err != nil {
		return limits.named(err, len(p))
	}
	return nil
}

// speaks reports whether m can have the encoding.
func speaks(m *codegen.Message, enc codegen.Encoding) bool {
	return isRaw(m) && enc == codegen.EncodingCBOR || !isRaw(m) && (enc == m.Encoding || enc == codegen.EncodingJSON && m.JSON != nil)
}

// checkEncoding says which encodings a procedure speaks if enc is none of them.
func checkEncoding(spec *Spec, enc codegen.Encoding) error {
	if speaks(&spec.Request, enc) && speaks(&spec.Response, enc) {
		return nil
	}
	var names []string
	for _, e := range [...]codegen.Encoding{codegen.EncodingCBOR, codegen.EncodingJSON, codegen.EncodingProto} {
		if speaks(&spec.Request, e) && speaks(&spec.Response, e) {
			names = append(names, e.String())
		}
	}
	return Errorf(CodeUnimplemented, "procedure %q does not speak encoding %d (%v): it speaks %v", spec.Procedure, enc, enc, names)
}
