package cbor

import (
	"fmt"
	"strings"
	"unsafe"
)

// This file reads text and byte strings.

// view returns p as a string that shares its memory.
func view(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

// span takes a text or a byte string.
func (d *Decoder) span(want byte) []byte {
	at := d.pos
	major, n, ok := d.head()
	if !ok {
		return nil
	}
	if major != want {
		d.wrong([...]string{"byte string", "text"}[want>>5-2], at)
		return nil
	}
	if n > uint64(d.remaining()) {
		d.Fail(ErrShort)
		return nil
	}
	p := d.buf[d.pos : d.pos+int(n) : d.pos+int(n)]
	d.pos += int(n)
	return p
}

// Text reads text and copies it.
func (d *Decoder) Text() string {
	p := d.text()
	if !validText(view(p)) {
		d.Fail(ErrUTF8)
		return ""
	}
	if d.budget -= int64(len(p)); d.budget < 0 {
		d.Fail(ErrBudget)
		return ""
	}
	return string(p)
}

// text is span for text, with a short way for lengths of at most one byte.
func (d *Decoder) text() []byte {
	b := d.buf[d.pos:]
	if len(b) < 2 {
		return d.span(majText)
	}
	head, n := 1, int(b[0])-majText
	if n == 24 {
		head, n = 2, int(b[1])
	} else if uint(n) > 24 {
		return d.span(majText)
	}
	if head+n > len(b) {
		return d.span(majText)
	}
	d.pos += head + n
	return b[head : head+n]
}

// View reads text without copying it: the result is part of the message.
func (d *Decoder) View() string {
	p := d.text()
	s := view(p)
	if !validText(s) {
		d.Fail(ErrUTF8)
		return ""
	}
	return s
}

// Own returns a copy of s within the budget.
func (d *Decoder) Own(s string) string {
	if !d.Charge(len(s), 1) {
		return ""
	}
	return strings.Clone(s)
}

// Bytes reads a byte string and copies it; an empty one is nil.
func (d *Decoder) Bytes() []byte {
	p := d.span(majBytes)
	if len(p) == 0 || !d.Charge(len(p), 1) {
		return nil
	}
	return append([]byte(nil), p...)
}

// ViewBytes reads a byte string without copying it: the result is part of the
// message.
func (d *Decoder) ViewBytes() []byte { return d.span(majBytes) }

// BytesInto reads a byte string that has exactly the length of dst.
func (d *Decoder) BytesInto(dst []byte) {
	p := d.span(majBytes)
	if len(p) != len(dst) && d.err == nil {
		d.Fail(fmt.Errorf("want %d bytes, got %d", len(dst), len(p)))
		return
	}
	copy(dst, p)
}

// AtMost fails if n, a length, is above limit. It returns n.
func (d *Decoder) AtMost(n, limit int) int {
	if n > limit && d.err == nil {
		d.Fail(fmt.Errorf("%w: %d, at most %d", ErrTooLong, n, limit))
		return 0
	}
	return n
}

// TextAtMost is [Decoder.Text] for text of at most limit bytes.
func (d *Decoder) TextAtMost(limit int) string {
	d.stringAtMost(majText, limit)
	return d.Text()
}

// BytesAtMost is [Decoder.Bytes] for a byte string of at most limit bytes.
func (d *Decoder) BytesAtMost(limit int) []byte {
	d.stringAtMost(majBytes, limit)
	return d.Bytes()
}

// stringAtMost checks the length of the next string before it is copied.
func (d *Decoder) stringAtMost(major byte, limit int) {
	at := *d
	if p := d.span(major); d.err == nil {
		n := len(p)
		*d = at
		d.AtMost(n, limit)
	}
}
