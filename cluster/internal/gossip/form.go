package gossip

import (
	"encoding/binary"
	"errors"
)

// Messages of memberlist are maps in MessagePack. They are read here only to be
// screened: memberlist decodes them again. So the reader need not accept all of
// MessagePack, and does not: it accepts the forms that memberlist's encoder writes,
// and a peer has no way to show the screen one thing and memberlist another.
//
// A message has at most 15 fields, each a text of at most maxText bytes or a number,
// so that it takes little memory wherever it comes from.

const (
	// maxFields is the most entries of a map in the short form, the only one that
	// memberlist writes.
	maxFields = 15
	// maxText is more than the longest text of a message takes: meta.
	maxText = 2 * MaxMeta
)

// A source is what a message is read from: a packet in memory, or a stream (guard).
type source interface {
	// take returns the next n bytes. They stay unchanged as long as the message is
	// used.
	take(n int) ([]byte, error)
}

// memory is the source of a message in a packet.
type memory struct{ b []byte }

// take fails with errForm at the end: a packet that is cut off is malformed.
func (m *memory) take(n int) ([]byte, error) {
	if n > len(m.b) {
		return nil, errForm
	}
	p := m.b[:n]
	m.b = m.b[n:]
	return p, nil
}

// errForm says that a message does not have the form that memberlist writes.
var errForm = errors.New("gossip: a message has an unknown form")

// A value is a text, a number, a truth value (as the number 0 or 1) or nothing. text
// refers to the bytes of the source.
type value struct {
	text   []byte
	number uint64
	kind   byte // one of the following
}

const (
	valueNone byte = iota
	valueText
	valueNumber
)

// A message holds the fields of a message by name. A field that is missing reads as a
// value of the kind valueNone.
type message map[string]value

// readMessage reads a map of at most maxFields texts and numbers. Each name must occur
// once: of two values memberlist would take the last, and the screen might see the
// first. Errors are errForm, or those of r.
func readMessage(r source) (message, error) {
	b, err := r.take(1)
	if err != nil {
		return nil, err
	}
	if b[0]&0xf0 != 0x80 { // fixmap, with the number of entries in the low bits
		return nil, errForm
	}
	// Of one size, not of one that the peer says.
	m := make(message, maxFields)
	for range b[0] & 0x0f {
		name, err := readValue(r)
		if err != nil {
			return nil, err
		}
		v, err := readValue(r)
		if err != nil {
			return nil, err
		}
		if _, twice := m[string(name.text)]; twice || name.kind != valueText {
			return nil, errForm
		}
		m[string(name.text)] = v
	}
	return m, nil
}

// readValue reads a text of at most maxText bytes, a number that is not negative, a
// truth value, or nothing. The first byte tells the form (the MessagePack
// specification, "Formats").
func readValue(r source) (value, error) {
	p, err := r.take(1)
	if err != nil {
		return value{}, err
	}
	b := p[0]
	switch {
	case b < 0x80: // a small number
		return value{kind: valueNumber, number: uint64(b)}, nil
	case b&0xe0 == 0xa0: // a short text
		return readText(r, int(b&0x1f))
	case b == 0xc0: // nil
		return value{}, nil
	case b == 0xc2, b == 0xc3: // false, true
		return value{kind: valueNumber, number: uint64(b & 1)}, nil
	case b == 0xd9, b == 0xda: // a length of 1 or 2 bytes
		n, err := readNumber(r, 1<<(b-0xd9))
		if err != nil {
			return value{}, err
		}
		return readText(r, int(n))
	case 0xcc <= b && b <= 0xcf: // unsigned, of 1 to 8 bytes
		n, err := readNumber(r, 1<<(b-0xcc))
		return value{kind: valueNumber, number: n}, err
	case 0xd0 <= b && b <= 0xd3: // signed, of 1 to 8 bytes
		size := 1 << (b - 0xd0)
		n, err := readNumber(r, size)
		if err == nil && n>>(8*size-1) != 0 { // negative: no field of memberlist's is
			err = errForm
		}
		return value{kind: valueNumber, number: n}, err
	}
	return value{}, errForm
}

// readText reads a text of n bytes. The limit is checked before a byte is read.
func readText(r source, n int) (value, error) {
	if n > maxText {
		return value{}, errForm
	}
	p, err := r.take(n)
	return value{kind: valueText, text: p}, err
}

// readNumber reads a number of size bytes, 1 to 8, in network order.
func readNumber(r source, size int) (uint64, error) {
	p, err := r.take(size)
	if err != nil {
		return 0, err
	}
	var whole [8]byte
	copy(whole[8-size:], p)
	return binary.BigEndian.Uint64(whole[:]), nil
}

// id returns the id of a node in a field. ok is false if the field holds no valid one.
func (m message) id(name string) (_ string, ok bool) {
	id := string(m[name].text)
	return id, ValidID(id)
}
