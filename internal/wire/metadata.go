package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxMetadataEntries is how many keys and values one block of metadata has at most
// together. Each costs memory beyond its bytes.
const MaxMetadataEntries = 1024

// AppendMetadata appends metadata to b. For each key, in any order, it appends the
// length of the key, the key, the number of values, and then the length and the
// bytes of each value. All numbers are uvarints. The caller checks the limits.
func AppendMetadata(b []byte, m map[string][]string) []byte {
	for k, vs := range m {
		b = appendString(b, k)
		b = binary.AppendUvarint(b, uint64(len(vs)))
		for _, v := range vs {
			b = appendString(b, v)
		}
	}
	return b
}

// AppendMetadataEntry appends a key with one value, as [AppendMetadata] does.
func AppendMetadataEntry(b []byte, key string, value []byte) []byte {
	b = append(appendString(b, key), 1)
	b = binary.AppendUvarint(b, uint64(len(value)))
	return append(b, value...)
}

// appendString appends the length of s and s.
func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// Why metadata is refused that is cut, or that would cost much memory.
var (
	errMetadataShort = errors.New("metadata ends early")
	errMetadataMany  = fmt.Errorf("metadata has over %d keys and values", MaxMetadataEntries)
)

// ParseMetadata reads what [AppendMetadata] has written. It fails if b is longer
// than [MaxMetadata], if there are more than [MaxMetadataEntries] keys and values,
// or if a key occurs twice. The result does not point into b.
func ParseMetadata(b []byte) (map[string][]string, error) {
	if len(b) > MaxMetadata {
		return nil, fmt.Errorf("%d bytes of metadata are over the limit of %d", len(b), MaxMetadata)
	}
	m := map[string][]string{}
	entries := 0
	for len(b) > 0 {
		var k, v string
		var n uint64
		var ok bool
		if k, b, ok = parseString(b); !ok {
			return nil, errMetadataShort
		}
		if n, b, ok = uvarint(b); !ok {
			return nil, errMetadataShort
		}
		// Twice is refused, not merged: the two sides could see different values.
		if _, dup := m[k]; dup {
			return nil, fmt.Errorf("metadata key %q is there twice", k)
		}
		m[k] = nil
		if entries++; entries > MaxMetadataEntries {
			return nil, errMetadataMany
		}
		for ; n > 0; n-- {
			if v, b, ok = parseString(b); !ok {
				return nil, errMetadataShort
			}
			if entries++; entries > MaxMetadataEntries {
				return nil, errMetadataMany
			}
			m[k] = append(m[k], v)
		}
	}
	return m, nil
}

// SingleMetadata returns the key and the value of metadata that is one key with one
// value, and reports false for any other. It allocates nothing, and the results point
// into b.
func SingleMetadata(b []byte) (key, value []byte, ok bool) {
	n, b, ok := uvarint(b)
	if !ok || n >= uint64(len(b)) || b[n] != 1 {
		return nil, nil, false
	}
	key = b[:n]
	n, value, ok = uvarint(b[n+1:])
	return key, value, ok && n == uint64(len(value))
}

// parseString reads a length and so many bytes, and returns what follows. ok is
// false if b is too short.
func parseString(b []byte) (string, []byte, bool) {
	n, b, ok := uvarint(b)
	if !ok || n > uint64(len(b)) {
		return "", b, false
	}
	return string(b[:n]), b[n:], true
}
