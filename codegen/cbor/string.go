package cbor

import (
	"encoding"
	"fmt"
	"math"
	"strings"
	"time"
	"unsafe"

	"github.com/rpcnet-go/rpcnet/internal/item"
)

// This file reads text, byte strings, and what has one of them as its form.

// view returns p as a string that shares its memory.
//
// It must not be kept longer than p stays as it is.
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
		d.Fail(errShort)
		return nil
	}
	// The capacity ends here as well, so that appending to a part of the
	// message does not write over the rest of it.
	p := d.buf[d.pos : d.pos+int(n) : d.pos+int(n)]
	d.pos += int(n)
	return p
}

// Text reads text and copies it.
//
// The copy is charged. Text in a message is UTF-8 by RFC 8949, section 3.1, and
// Go strings in JSON must be, so that other bytes are refused and not replaced.
func (d *Decoder) Text() string {
	p := d.short(majText)
	if !validText(view(p)) {
		d.Fail(errUTF8)
		return ""
	}
	if !d.chargeBytes(len(p)) {
		return ""
	}
	return d.ownText(p)
}

// short is span with a short way for lengths of at most one byte.
func (d *Decoder) short(want byte) []byte {
	b := d.buf[d.pos:]
	if len(b) < 2 {
		return d.span(want)
	}
	// The capacity of what is returned ends with it, as that of span.
	// A length below 24 is in the first byte, one below 256 in the second.
	head, n := 1, int(b[0])-int(want)
	if n == 24 {
		head, n = 2, int(b[1])
	} else if uint(n) > 24 {
		return d.span(want)
	}
	if head+n > len(b) {
		return d.span(want)
	}
	d.pos += head + n
	return b[head : head+n : head+n]
}

// chargeBytes is Charge for n bytes, without its multiplication.
func (d *Decoder) chargeBytes(n int) bool {
	if int64(n) > d.budget {
		d.Fail(ErrBudget)
		return false
	}
	d.budget -= int64(n)
	return true
}

// View reads text without copying it: the result is part of the message.
//
// It is for names that are compared and dropped, such as those of variants.
func (d *Decoder) View() string {
	s := view(d.short(majText))
	if !validText(s) {
		d.Fail(errUTF8)
		return ""
	}
	return s
}

// Own returns a copy of s within the budget.
func (d *Decoder) Own(s string) string {
	if !d.chargeBytes(len(s)) {
		return ""
	}
	return strings.Clone(s)
}

// Bytes reads a byte string and copies it; an empty one is nil.
func (d *Decoder) Bytes() []byte {
	p := d.short(majBytes)
	if len(p) == 0 || !d.chargeBytes(len(p)) {
		return nil
	}
	return d.own(p)
}

// ViewBytes reads a byte string without copying it: the result is part of the
// message.
func (d *Decoder) ViewBytes() []byte { return d.span(majBytes) }

// BytesInto reads a byte string that has exactly the length of dst.
//
// It is for arrays, whose length is part of their type. Nothing is allocated.
func (d *Decoder) BytesInto(dst []byte) {
	p := d.span(majBytes)
	if len(p) != len(dst) && d.err == nil {
		d.Fail(fmt.Errorf("want %d bytes, got %d", len(dst), len(p)))
		return
	}
	copy(dst, p)
}

// AtMost fails if n, a length, is above limit. It returns n.
//
// The limit is that of the contract, max= in a tag, and the error says so by
// ErrTooLong.
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
	// The string is read twice, once for its length. An error is left for
	// the second time.
	if p := d.span(major); d.err == nil {
		n := len(p)
		*d = at
		d.AtMost(n, limit)
	}
}

// UnmarshalText reads text into v. A panic of v's method is an error of the
// message.
func (d *Decoder) UnmarshalText(v encoding.TextUnmarshaler) {
	p := d.span(majText)
	if d.err == nil && !validText(view(p)) {
		d.Fail(errUTF8)
	}
	d.unmarshal(p, v.UnmarshalText)
}

// UnmarshalBinary reads a byte string into v. A panic of v's method is an
// error of the message.
func (d *Decoder) UnmarshalBinary(v encoding.BinaryUnmarshaler) {
	d.unmarshal(d.span(majBytes), v.UnmarshalBinary)
}

// unmarshal calls f, a method of the program, with p. What it takes in memory
// is not known: as much as the bytes is charged.
func (d *Decoder) unmarshal(p []byte, f func([]byte) error) {
	if d.err != nil || !d.Charge(len(p), 1) {
		return
	}
	// The method is the user's, and the content of the message a peer's:
	// its panic must end the call and not the program.
	defer func() {
		if r := recover(); r != nil {
			d.Fail(fmt.Errorf("panic: %v", r))
		}
	}()
	if err := f(p); err != nil {
		d.Fail(err)
	}
}

// Time reads RFC 3339 text with tag 0, or without, or seconds since 1970 with
// tag 1 (RFC 8949, sections 3.4.1 and 3.4.2).
//
// The result of text has the zone that was sent; that of seconds is in UTC.
func (d *Decoder) Time() time.Time {
	// Without a tag it is text.
	tag := uint64(0)
	if d.Peek() == item.Tag {
		tag = d.Tag()
		defer d.Leave()
	}
	switch tag {
	case 0:
		s := d.View()
		if d.err != nil {
			return time.Time{}
		}
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			d.Fail(fmt.Errorf("want a time as RFC 3339 writes it, got %.40q", s))
			return time.Time{}
		}
		return t
	case 1:
		// Whole seconds are exact.
		if d.Peek() != item.Float {
			return time.Unix(d.Int64(), 0).UTC()
		}
		f := d.Float64()
		sec, frac := math.Modf(f)
		// NaN fails every comparison, so that it is refused here too.
		if !(math.Abs(sec) < 1<<53) {
			d.Fail(errRange)
			return time.Time{}
		}
		return time.Unix(int64(sec), int64(frac*1e9)).UTC()
	}
	d.Fail(fmt.Errorf("want a time with tag 0 or 1, got tag %d", tag))
	return time.Time{}
}

// own returns a copy of p, which is not empty and has been charged. Its memory comes, in
// this order, from the room beside a new message, from the message that is decoded over,
// and from the heap.
func (d *Decoder) own(p []byte) []byte {
	if at, end := d.roomAt, d.roomAt+len(p); end <= len(d.room) {
		// The capacity ends here as well: appending to one part of the room
		// must not write over the next.
		q := d.room[at:end:end]
		d.roomAt = end
		copy(q, p)
		return q
	}
	if d.over {
		return append(d.parts.Bytes(len(p)), p...)
	}
	return append([]byte(nil), p...)
}

// ownText is own for text: it returns p, which has been charged, as a string that does not share its memory.
func (d *Decoder) ownText(p []byte) string {
	if len(p) <= len(d.room)-d.roomAt {
		return view(d.own(p)) // nothing else refers to these bytes
	}
	if d.over {
		if s, ok := d.parts.Text(p); ok {
			return s
		}
	}
	return string(p)
}
