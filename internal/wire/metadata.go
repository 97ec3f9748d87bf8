package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxMetadataEntries is the most keys and values of one block of metadata.
const MaxMetadataEntries = 1024

// AppendMetadata appends metadata: for each key, in any order, the length of
// the key and the key, the number of values, and each value's length and bytes.
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

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

var (
	errMetadataShort = errors.New("metadata ends early")
	errMetadataMany  = fmt.Errorf("metadata has over %d keys and values", MaxMetadataEntries)
)

// ParseMetadata reads what [AppendMetadata] wrote, at most [MaxMetadata] bytes
// of it.
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

func parseString(b []byte) (string, []byte, bool) {
	n, b, ok := uvarint(b)
	if !ok || n > uint64(len(b)) {
		return "", b, false
	}
	return string(b[:n]), b[n:], true
}
