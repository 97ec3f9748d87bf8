package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// maxTagsSize is the limit of a node's tags in bytes, as [Tags.Size] counts them:
// what memberlist's fixed size of an announcement leaves for them.
const maxTagsSize = gossip.MaxTagsSize

// errTagsTooLarge is wrapped by the error of a change that would exceed
// maxTagsSize; its text says both sizes.
var errTagsTooLarge = errors.New("cluster: tags too large")

// Tags are the key=value pairs that a node carries through gossip, for a
// [Selector] to choose by. Keys are letters, digits, '.', '_', '-' and '/', 1 to
// 63 bytes. Values are UTF-8 without control characters, 0 to 255 bytes. All
// together they take at most 476 bytes, as [Tags.Size] counts them, since every
// announcement of the node carries them: bulk state belongs elsewhere.
//
// The Tags of a [Member] or [Event] are shared by all who received it: do not
// change them.
type Tags map[string]string

// ParseTags reads tags from a text such as "zone=a,gpu=h100", as flags and environment
// variables have them. Spaces around keys and values are dropped. An empty text has no
// tags. A key without "=" has an empty value. It fails if a key occurs twice, or if the
// tags are not valid.
func ParseTags(s string) (Tags, error) {
	t := Tags{}
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		k, v = strings.TrimSpace(k), strings.TrimSpace(v)
		if _, twice := t[k]; twice {
			return nil, fmt.Errorf("cluster: tag %q is given twice", loglimit.Cut(k))
		}
		t[k] = v
	}
	if err := t.Validate(); err != nil {
		return nil, err
	}
	return t, nil
}

// Validate returns what is wrong with t, or nil: see [Tags] for the limits. [Join] and
// [Node.SetTags] call it.
func (t Tags) Validate() error {
	for _, k := range slices.Sorted(maps.Keys(t)) {
		if err := validTagKey(k); err != nil {
			return err
		}
		if v := t[k]; len(v) > 255 || !utf8.ValidString(v) || strings.ContainsFunc(v, isControl) {
			return fmt.Errorf("cluster: value of tag %q: want at most 255 bytes of UTF-8 without control characters, got %q", k, loglimit.Cut(v))
		}
	}
	if n := t.Size(); n > maxTagsSize {
		return fmt.Errorf("%w: %d bytes are over the limit of %d; gossip carries names of things, not the things", errTagsTooLarge, n, maxTagsSize)
	}
	return nil
}

// isControl reports whether r is an ASCII control character.
func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// validTagKey returns what is wrong with the key of a tag, or nil.
func validTagKey(k string) error {
	if k == "" || len(k) > 63 {
		return fmt.Errorf("cluster: tag key %q: want 1 to 63 bytes", loglimit.Cut(k))
	}
	for i := range len(k) {
		if !isKeyByte(k[i]) {
			return fmt.Errorf("cluster: tag key %q: %q is not a letter, digit, '.', '_', '-' or '/'", k, k[i])
		}
	}
	return nil
}

// isKeyByte reports whether c may occur in a key.
func isKeyByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-' || c == '/'
}

// Size returns the bytes t takes in gossip: keys, values, and a length of one
// or two bytes before each.
func (t Tags) Size() int {
	n := 0
	for k, v := range t {
		n += uvarintLen(len(k)) + len(k) + uvarintLen(len(v)) + len(v)
	}
	return n
}

// uvarintLen returns how many bytes a length takes before its text.
func uvarintLen(n int) int {
	var b [binary.MaxVarintLen64]byte
	return binary.PutUvarint(b[:], uint64(n))
}

// Clone returns a copy; nil stays nil.
func (t Tags) Clone() Tags { return maps.Clone(t) }

// Equal reports whether t and u hold the same pairs.
func (t Tags) Equal(u Tags) bool { return maps.Equal(t, u) }

// String returns the tags as [ParseTags] reads them, sorted by key.
func (t Tags) String() string {
	var b strings.Builder
	for i, k := range slices.Sorted(maps.Keys(t)) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(k)
		b.WriteByte('=')
		b.WriteString(t[k])
	}
	return b.String()
}
