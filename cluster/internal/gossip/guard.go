package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// memberlist takes memory for as many nodes as the header of an exchange claims
// before it has read one: 150 MiB a stream, 128 streams at a time, for a few
// bytes from anyone with a certificate. So the beginning of each stream is read
// here first, and the rest is no longer than what the beginning says.
//
// A stream is a label if this node was dialled, a type, and a message: of an
// exchange a map of three entries and then the nodes. The form is the one that
// memberlist writes; what it could read beside that is refused.

const (
	// maxStates is the most nodes of one exchange: as many as have keys here.
	maxStates = maxPeers
	// maxState is more than one node takes: a name of 128 bytes, an address, 512
	// bytes of meta, numbers and their keys.
	maxState = 1 << 10
	// maxMessage is more than a message without nodes takes.
	maxMessage = 4 << 10
)

// The types of memberlist's messages that nodes of this package send on
// streams, and the mark before a label.
const (
	typePing     = 0
	typeAck      = 2
	typeExchange = 6
	typeError    = 13
	markLabel    = 244
)

// A guard reads a stream for memberlist. Not safe for concurrent use.
type guard struct {
	r    io.Reader
	head []byte // what was read to look at and is still to be returned
	left int    // how many bytes may follow
	seen bool   // the beginning has been looked at
	err  error  // what was wrong with it
}

func (g *guard) Read(p []byte) (int, error) {
	if !g.seen {
		g.seen = true
		g.err = g.begin()
	}
	switch {
	case g.err != nil:
		return 0, g.err
	case len(g.head) > 0:
		n := copy(p, g.head)
		g.head = g.head[n:]
		return n, nil
	case g.left == 0:
		return 0, errStreamLong
	}
	n, err := g.r.Read(p[:min(len(p), g.left)])
	g.left -= n
	return n, err
}

var errStreamLong = &streamError{"longer than what it announced"}

// A streamError says what is wrong with a stream.
type streamError struct{ what string }

func (e *streamError) Error() string { return "gossip: a stream from a member: " + e.what }

// begin reads the beginning of the stream and looks at it.
func (g *guard) begin() error {
	kind, err := g.next()
	if err == nil && kind == markLabel {
		var n byte
		if n, err = g.next(); err == nil {
			_, err = g.take(int(n))
		}
		if err == nil {
			kind, err = g.next()
		}
	}
	if err != nil {
		return err
	}
	g.left = maxMessage
	switch kind {
	case typePing, typeAck, typeError:
		return nil
	case typeExchange:
		nodes, err := g.header()
		g.left += nodes * maxState
		return err
	}
	return &streamError{fmt.Sprintf("a message of type %d, which no node sends on a stream", kind)}
}

// header reads the header of an exchange and returns how many nodes follow.
func (g *guard) header() (nodes int, err error) {
	const three = 0x83 // MessagePack: a map of three entries
	if b, err := g.next(); err != nil {
		return 0, err
	} else if b != three {
		return 0, errHeader
	}
	for range 3 {
		key, err := g.text()
		if err != nil {
			return 0, err
		}
		switch key {
		case "Nodes":
			n, err := g.number()
			if err != nil {
				return 0, err
			}
			if n > maxStates {
				return 0, &streamError{fmt.Sprintf("an exchange of %d nodes, the limit is %d", n, maxStates)}
			}
			nodes = int(n)
		case "UserStateLen":
			if n, err := g.number(); err != nil {
				return 0, err
			} else if n != 0 {
				return 0, &streamError{fmt.Sprintf("an exchange with %d bytes of user state, which no node sends", n)}
			}
		case "Join":
			if _, err := g.next(); err != nil {
				return 0, err
			}
		default:
			return 0, errHeader
		}
	}
	return nodes, nil
}

var errHeader = &streamError{"the header of an exchange has an unknown form"}

// text reads a string of at most 31 bytes.
func (g *guard) text() (string, error) {
	b, err := g.next()
	if err != nil {
		return "", err
	}
	if b&0xe0 != 0xa0 {
		return "", errHeader
	}
	p, err := g.take(int(b & 0x1f))
	return string(p), err
}

// number reads a number that is not negative.
func (g *guard) number() (uint64, error) {
	b, err := g.next()
	if err != nil {
		return 0, err
	}
	size := 0
	switch {
	case b < 0x80:
		return uint64(b), nil
	case 0xcc <= b && b <= 0xcf: // unsigned, of 1 to 8 bytes
		size = 1 << (b - 0xcc)
	case 0xd0 <= b && b <= 0xd3: // signed
		size = 1 << (b - 0xd0)
	default:
		return 0, errHeader
	}
	p, err := g.take(size)
	if err != nil {
		return 0, err
	}
	if b >= 0xd0 && p[0]&0x80 != 0 {
		return 0, &streamError{"a negative number in the header of an exchange"}
	}
	var whole [8]byte
	copy(whole[8-size:], p)
	return binary.BigEndian.Uint64(whole[:]), nil
}

func (g *guard) next() (byte, error) {
	p, err := g.take(1)
	if err != nil {
		return 0, err
	}
	return p[0], nil
}

// take reads n bytes, at most 255.
func (g *guard) take(n int) ([]byte, error) {
	at := len(g.head)
	g.head = append(g.head, make([]byte, n)...)
	k, err := io.ReadFull(g.r, g.head[at:])
	g.head = g.head[:at+k]
	if at > 0 && errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return g.head[at:], err
}
