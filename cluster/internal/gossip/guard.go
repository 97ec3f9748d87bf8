package gossip

import (
	"errors"
	"fmt"
	"io"
)

// memberlist allocates memory for as many nodes as the header of an exchange claims
// before it has read one: 150 MiB a stream, 128 streams at a time, for a few bytes
// from anyone with a certificate. So the beginning of each stream is read here first,
// and the rest is no longer than what the beginning says.
//
// A stream is a label if this node was dialled, then a type, then a message. That of
// an exchange is a map of three entries, followed by the nodes, each a message:
//
//	[label] type message                     ping, ack, error
//	[label] type header node node node ...   exchange (push/pull)
//
// The form is the one that memberlist writes. What it could read in addition is
// refused.

const (
	// maxStates is the most nodes of one exchange: as many as have keys here.
	maxStates = maxPeers
	// maxStatesAtOnce is the most nodes of all exchanges under way, each of which
	// takes a KiB at most: 80 MiB. The exchanges of one certificate may have maxStates
	// together, and so may those that were dialled from here.
	maxStatesAtOnce = 4 * maxStates
	// maxState is more than one node takes: a name of 128 bytes, an address, 512
	// bytes of meta, numbers and their keys.
	maxState = 1 << 10
	// maxMessage is more than a message without nodes takes.
	maxMessage = 4 << 10
)

// A guard reads a stream for memberlist. It looks at the beginning, and then in an
// exchange at one node at a time, before memberlist sees a byte of it. It is not safe
// for concurrent use, as a reader.
//
// beginning -> (nodes ->)* rest: an error in any state ends the stream for good.
type guard struct {
	r io.Reader
	// admit is called with the number of nodes in an exchange before one is read, and
	// screen with each node. A node that screen does not keep reaches memberlist as
	// one of no known state, which memberlist ignores. Nil accepts everything.
	admit  func(nodes int) error
	screen func(m message) (keep bool, err error)

	head   []byte // what was read to look at and is still to be returned
	left   int    // how many bytes may follow, or belong to the present node
	states int    // how many nodes follow
	seen   bool   // the beginning has been looked at
	err    error  // what was wrong with it
}

// Read returns the bytes of the stream as they came, but for nodes that are not kept.
func (g *guard) Read(p []byte) (int, error) {
	if !g.seen {
		g.seen = true
		g.err = g.begin()
	} else if g.err == nil && len(g.head) == 0 && g.states > 0 {
		g.states--
		g.err = g.state()
	}
	switch {
	case g.err != nil:
		return 0, g.err
	case len(g.head) > 0:
		n := copy(p, g.head)
		g.head = g.head[n:]
		return n, nil
	case len(p) == 0:
		return 0, nil
	}
	// At least one byte is asked for, also if none may follow: the end of the stream
	// is to be seen as such, and a byte too much as an error.
	n, err := g.r.Read(p[:max(1, min(len(p), g.left))])
	if n > g.left {
		return 0, errStreamLong
	}
	g.left -= n
	return n, err
}

var errStreamLong = &streamError{"longer than what it announced"}

// A streamError says what is wrong with a stream. Its text contains nothing of the
// peer's but numbers.
type streamError struct{ what string }

func (e *streamError) Error() string { return "gossip: a stream from a member: " + e.what }

// begin reads the beginning of the stream: label, type and, of an exchange, the header.
// It stays in head for memberlist.
func (g *guard) begin() error {
	g.left = maxMessage
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
	switch kind {
	case typePing, typeAck, typeError:
		g.left = maxMessage
		return nil
	case typeExchange:
		nodes, err := g.header()
		if err == nil && g.admit != nil {
			err = g.admit(nodes)
		}
		g.states, g.left = nodes, 0
		return err
	}
	return &streamError{fmt.Sprintf("a message of type %d, which no node sends on a stream", kind)}
}

// ignored is a node of an exchange as memberlist ignores it: {State: 255}, which is no
// state that it knows.
const ignored = "\x81\xa5State\xcc\xff"

// state reads one node of an exchange into head, or replaces it if it is not kept.
func (g *guard) state() error {
	g.head, g.left = nil, maxState
	m, err := readMessage(g)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	g.left = 0
	if errors.Is(err, errForm) {
		return errState
	}
	if err != nil || g.screen == nil {
		return err
	}
	keep, err := g.screen(m)
	if !keep {
		g.head = []byte(ignored)
	}
	return err
}

var errState = &streamError{"a node of an exchange has an unknown form"}

// header reads the header of an exchange and returns how many nodes follow. Its three
// fields are the number of nodes, the length of the user state, which must be 0, and
// whether the sender joins.
func (g *guard) header() (nodes int, err error) {
	m, err := readMessage(g)
	if errors.Is(err, errForm) {
		return 0, errHeader
	} else if err != nil {
		return 0, err
	}
	count, user := m["Nodes"], m["UserStateLen"]
	switch {
	case len(m) != 3 || count.kind != valueNumber || user.kind != valueNumber || m["Join"].kind != valueNumber:
		return 0, errHeader
	case count.number > maxStates:
		return 0, &streamError{fmt.Sprintf("an exchange of %d nodes, the limit is %d", count.number, maxStates)}
	case user.number != 0:
		return 0, &streamError{fmt.Sprintf("an exchange with %d bytes of user state, which no node sends", user.number)}
	}
	return int(count.number), nil
}

var errHeader = &streamError{"the header of an exchange has an unknown form"}

// next reads one byte.
func (g *guard) next() (byte, error) {
	p, err := g.take(1)
	if err != nil {
		return 0, err
	}
	return p[0], nil
}

// take reads n bytes, fewer than 2 KiB, of those that may follow. It implements source.
// The bytes are appended to head. When that grows and moves, what take returned before
// still holds them: nothing is written there any more.
func (g *guard) take(n int) ([]byte, error) {
	if n > g.left {
		return nil, errStreamLong
	}
	g.left -= n
	at := len(g.head)
	g.head = append(g.head, make([]byte, n)...)
	k, err := io.ReadFull(g.r, g.head[at:])
	g.head = g.head[:at+k]
	if at > 0 && errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return g.head[at:], err
}
