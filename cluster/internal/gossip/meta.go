package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rpcnet-go/rpcnet/internal/version"
)

// What a node says of itself to all others, in memberlist's meta. It travels with every
// announcement of the node, and any member passes it on:
//
//	version (1) = 1 | flags (1) | number of tags (2) | public key (32) | tags | name
//
// A tag is key and value, each with its length before it as a uvarint; keys
// ascend strictly, so that a set of tags has one encoding. The name is present if its
// flag is set, also with its length before it. Bytes after that belong to later
// versions and are ignored, as are unknown flags.
const (
	metaVersion = version.Gossip
	metaHeader  = 4 + KeySize
	// MaxMeta is memberlist's limit, above which it panics.
	MaxMeta = 512
	// MaxTagsSize is what is left for tags.
	MaxTagsSize = MaxMeta - metaHeader
	// MaxServerName is the length of the name. A DNS name has at most 253 bytes.
	MaxServerName = 255
	// KeySize is the size of a public key.
	KeySize = 32

	flagLeaving = 1 << 0
	flagName    = 1 << 1
)

// Meta is the decoded form.
type Meta struct {
	// Leaving says that the node has announced that it will leave.
	Leaving bool
	// Key is its public key of this boot.
	Key [KeySize]byte
	// Tags are its tags.
	Tags map[string]string
	// ServerName is the name that its certificate carries: a DNS name or a SPIFFE id.
	// "" stands for its address.
	ServerName string
}

// Append appends the encoding of m to b. The caller has checked that it has at most
// MaxMeta bytes: a longer one makes memberlist panic.
func (m *Meta) Append(b []byte) []byte {
	var flags byte
	if m.Leaving {
		flags |= flagLeaving
	}
	if m.ServerName != "" {
		flags |= flagName
	}
	b = append(b, metaVersion, flags)
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.Tags)))
	b = append(b, m.Key[:]...)
	// Sorted, so that equal tags have equal metas: memberlist compares bytes.
	for _, k := range slices.Sorted(maps.Keys(m.Tags)) {
		b = appendString(b, k)
		b = appendString(b, m.Tags[k])
	}
	if m.ServerName != "" {
		b = appendString(b, m.ServerName)
	}
	return b
}

// appendString appends a string with its length before it, as a uvarint.
func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// ParseMeta decodes a meta, which a member may have made up. The result does not refer
// to b. Lengths are checked before anything is allocated; an error contains at most
// one tag's key of the peer's text.
func ParseMeta(b []byte) (Meta, error) {
	var m Meta
	if len(b) > MaxMeta {
		return m, fmt.Errorf("gossip: meta of %d bytes is over the limit of %d", len(b), MaxMeta)
	}
	if len(b) < metaHeader {
		return m, fmt.Errorf("gossip: meta of %d bytes is shorter than its header of %d", len(b), metaHeader)
	}
	if b[0] != metaVersion {
		return m, fmt.Errorf("gossip: meta of version %d, this node speaks %d", b[0], metaVersion)
	}
	m.Leaving = b[1]&flagLeaving != 0
	named := b[1]&flagName != 0
	n := int(binary.BigEndian.Uint16(b[2:]))
	copy(m.Key[:], b[4:])
	b = b[metaHeader:]
	// A tag has two bytes at least.
	if n > len(b)/2 {
		return m, fmt.Errorf("gossip: meta claims %d tags in %d bytes", n, len(b))
	}
	m.Tags = make(map[string]string, n)
	last := ""
	for i := range n {
		var k, v string
		var err error
		if k, b, err = takeString(b); err != nil {
			return m, err
		}
		if v, b, err = takeString(b); err != nil {
			return m, err
		}
		// Also a key that occurs twice.
		if k == "" || i > 0 && k <= last {
			return m, fmt.Errorf("gossip: meta tag %q is out of order", k)
		}
		m.Tags[k], last = v, k
	}
	if named {
		var err error
		if m.ServerName, _, err = takeString(b); err != nil {
			return m, err
		}
		if !ValidServerName(m.ServerName) {
			return m, fmt.Errorf("gossip: meta has a name of %d bytes, want 1 to %d that are printable ASCII", len(m.ServerName), MaxServerName)
		}
	}
	return m, nil
}

// ValidServerName reports whether a meta may carry a name: 1 to [MaxServerName]
// bytes of printable ASCII.
func ValidServerName(name string) bool {
	return name != "" && len(name) <= MaxServerName && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' })
}

// errMetaString says that a length does not fit what is there, or that a text is not
// UTF-8. It does not repeat the text.
var errMetaString = errors.New("gossip: meta has a string that is cut off or not UTF-8")

// takeString reads what appendString has written, and returns the rest of b.
func takeString(b []byte) (string, []byte, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return "", nil, errMetaString
	}
	s := b[size : size+int(n)]
	if !utf8.Valid(s) {
		return "", nil, errMetaString
	}
	return string(s), b[size+int(n):], nil
}
