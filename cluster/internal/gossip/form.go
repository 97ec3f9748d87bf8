package gossip

import (
	"encoding/binary"
	"errors"
)

// Messages of memberlist are maps in MessagePack. They are read here only to be
// looked at: memberlist decodes them again.

const (
	// maxFields is the most entries of a map in the short form, the only one that
	// memberlist writes.
	maxFields = 15
	// maxText is more than the longest text of a message takes: meta.
	maxText = 2 * MaxMeta
)

// A source is what a message is read from. take returns the next n bytes.
type source interface {
	take(n int) ([]byte, error)
}

// memory is a source that is there already.
type memory struct{ b []byte }

func (m *memory) take(n int) ([]byte, error) {
	if n > len(m.b) {
		return nil, errForm
	}
	p := m.b[:n]
	m.b = m.b[n:]
	return p, nil
}

// errForm says that a message is not in the form that memberlist writes.
var errForm = errors.New("gossip: a message has an unknown form")

// A value is a text, a number, a truth value (as a number) or nothing.
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

// A message is the fields of a message by name.
type message map[string]value

// readMessage reads a map of at most maxFields texts and numbers, each name once.
func readMessage(r source) (message, error) {
	b, err := r.take(1)
	if err != nil {
		return nil, err
	}
	if b[0]&0xf0 != 0x80 {
		return nil, errForm
	}
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

// readValue reads a text of at most maxText bytes, a number that is not
// negative, a truth value, or nothing.
func readValue(r source) (value, error) {
	p, err := r.take(1)
	if err != nil {
		return value{}, err
	}
	b := p[0]
	switch {
	case b < 0x80:
		return value{kind: valueNumber, number: uint64(b)}, nil
	case b&0xe0 == 0xa0:
		return readText(r, int(b&0x1f))
	case b == 0xc0:
		return value{}, nil
	case b == 0xc2, b == 0xc3:
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
	case 0xd0 <= b && b <= 0xd3: // signed
		size := 1 << (b - 0xd0)
		n, err := readNumber(r, size)
		if err == nil && n>>(8*size-1) != 0 {
			err = errForm
		}
		return value{kind: valueNumber, number: n}, err
	}
	return value{}, errForm
}

func readText(r source, n int) (value, error) {
	if n > maxText {
		return value{}, errForm
	}
	p, err := r.take(n)
	return value{kind: valueText, text: p}, err
}

// readNumber reads a number of so many bytes, at most 8.
func readNumber(r source, size int) (uint64, error) {
	p, err := r.take(size)
	if err != nil {
		return 0, err
	}
	var whole [8]byte
	copy(whole[8-size:], p)
	return binary.BigEndian.Uint64(whole[:]), nil
}

// id returns the id of a node that a field has, and whether it has one.
func (m message) id(name string) (string, bool) {
	id := string(m[name].text)
	return id, ValidID(id)
}
