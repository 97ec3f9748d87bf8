package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Settings are what each side sends when a session starts. Zero fields are not
// sent, and the receiver assumes the defaults of the protocol.
type Settings struct {
	// Version is the version of the layout that the sender speaks.
	Version uint64
	// MaxStreams is how many calls the sender serves at a time.
	MaxStreams uint64
	// StreamWindow is how many bytes the sender takes on a new stream, and
	// SessionWindow on the session, before it gives credit for more.
	StreamWindow  uint64
	SessionWindow uint64
	// Encodings is the bit set of the encodings that the sender speaks.
	Encodings uint64
	// Identity names the server if a server sends it. If a client sends it, it
	// names the node that the client wants. Empty fields are not sent.
	Identity Identity
}

// An Identity names one boot of a node of a cluster.
type Identity struct{ Cluster, Node, Boot string }

// MaxIdentity is the longest field of an [Identity] in bytes.
const MaxIdentity = 128

// The defaults of settings that a peer does not send, and the bounds of those
// that it sends. Windows are in bytes. A window of MinWindow holds two full
// frames, so that a sender need not wait for credit after each.
const (
	DefaultMaxStreams    = 10_000
	DefaultStreamWindow  = 256 << 10
	DefaultSessionWindow = 4 << 20
	MinWindow            = 2 * (MaxChunk + FrameCost)
	MaxWindow            = 1 << 30
	MaxMaxStreams        = 1 << 20
)

// The keys below 16 carry a number.
const (
	keyMaxStreams = iota + 1
	keyStreamWindow
	keySessionWindow
	keyEncodings
)

// The keys from 16 on carry a text: its length, then its bytes. So a peer can skip
// keys that it does not know.
const (
	keyCluster = iota + 16
	keyNode
	keyBoot
)

// Append appends the payload of a SETTINGS frame.
func (s *Settings) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, s.Version)
	for i, v := range [...]uint64{s.MaxStreams, s.StreamWindow, s.SessionWindow, s.Encodings} {
		if v != 0 {
			b = binary.AppendUvarint(b, uint64(i+1))
			b = binary.AppendUvarint(b, v)
		}
	}
	for i, v := range [...]string{s.Identity.Cluster, s.Identity.Node, s.Identity.Boot} {
		if v != "" {
			b = binary.AppendUvarint(b, uint64(keyCluster+i))
			b = append(binary.AppendUvarint(b, uint64(len(v))), v...)
		}
	}
	return b
}

// ErrVersion says that the peer speaks another version of the protocol.
var ErrVersion = errors.New("unknown protocol version")

// Parse reads a SETTINGS payload into s and sets the defaults of what it lacks. It
// fails if a value is out of its bounds. It skips unknown keys.
func (s *Settings) Parse(b []byte) error {
	*s = Settings{MaxStreams: DefaultMaxStreams, StreamWindow: DefaultStreamWindow, SessionWindow: DefaultSessionWindow, Encodings: 1}
	var ok bool
	if s.Version, b, ok = uvarint(b); !ok {
		return errors.New("SETTINGS frame without a version")
	}
	if s.Version != Version {
		return fmt.Errorf("%w %d: this side speaks %d", ErrVersion, s.Version, Version)
	}
	for len(b) > 0 {
		// The value of a key from keyCluster on is the length of the text that follows.
		// A key can come twice: the last value counts.
		var k, v uint64
		if k, b, ok = uvarint(b); ok {
			v, b, ok = uvarint(b)
		}
		if !ok || k >= keyCluster && v > uint64(len(b)) {
			return errors.New("SETTINGS frame ends early")
		}
		if k >= keyCluster {
			if v > MaxIdentity {
				return fmt.Errorf("SETTINGS frame with a name of %d bytes: want at most %d", v, MaxIdentity)
			}
			s.Identity.set(k, string(b[:v]))
			b = b[v:]
			continue
		}
		switch k {
		case keyMaxStreams:
			if v < 1 || v > math.MaxInt32 {
				return fmt.Errorf("SETTINGS frame with a limit of %d streams", v)
			}
			// A table of the streams has a place for each: the limit bounds it.
			s.MaxStreams = min(v, MaxMaxStreams)
		case keyStreamWindow, keySessionWindow:
			if v < MinWindow || v > MaxWindow {
				return fmt.Errorf("SETTINGS frame with a window of %d bytes: want %d to %d", v, MinWindow, MaxWindow)
			}
			if k == keyStreamWindow {
				s.StreamWindow = v
			} else {
				s.SessionWindow = v
			}
		case keyEncodings:
			s.Encodings = v
		}
	}
	return nil
}

// set sets the field of a key. It ignores keys that it does not know, so that later
// versions of the library can send more.
func (i *Identity) set(key uint64, text string) {
	switch key {
	case keyCluster:
		i.Cluster = text
	case keyNode:
		i.Node = text
	case keyBoot:
		i.Boot = text
	}
}

// The reasons of a GOAWAY frame.
const (
	ReasonDrain    = 1 // the sender stops; running calls finish
	ReasonProtocol = 2 // the receiver has broken the protocol
	ReasonVersion  = 3 // there is no common version
	ReasonRefused  = 4 // the receiver has no right to be here
	ReasonClosed   = 5 // the sender closes at once; running calls fail
)
