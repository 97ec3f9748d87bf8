package rpcnet

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A Header is the metadata of a call. Keys are lower-case ASCII letters,
// digits, '-', '_' and '.'; the methods, and [CallOptions], take upper-case
// letters for lower-case ones, as HTTP/2 libraries do. Values are UTF-8, or any
// bytes when the key ends in "-bin". All keys and values together are at most 16 KiB
// and 1024 in number.
//
// Metadata that comes from a peer and breaks these rules fails its call: that of
// a request with CodeInvalidArgument, before a handler sees it; that of a
// response with CodeInternal, where the caller keeps a record of the call
// ([NewCall]) and so would see it.
//
// A Header is not safe for concurrent use; one that this package returns is the
// receiver's to read and not to change.
type Header map[string][]string

// maxMetadataSize is the limit, in bytes, of the keys and values of one Header.
const maxMetadataSize = 16 << 10

// maxMetadataEntries is the limit of the keys and values of one Header, which
// keeps their lengths on the wire within the room that frames have for them.
const maxMetadataEntries = wire.MaxMetadataEntries

// Get returns the first value of key, or "".
func (h Header) Get(key string) string {
	if v := h[lower(key)]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Set replaces the values of key.
func (h Header) Set(key string, values ...string) { h[lower(key)] = slices.Clone(values) }

// hasUpper reports whether there is an upper-case ASCII letter in key.
func hasUpper(key string) bool { return strings.ContainsAny(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") }

// lower returns key with lower-case letters in place of upper-case ones: ASCII
// only, since no other key is valid.
func lower(key string) string {
	for i := range len(key) {
		if c := key[i]; 'A' <= c && c <= 'Z' {
			b := []byte(key)
			for ; i < len(b); i++ {
				if c := b[i]; 'A' <= c && c <= 'Z' {
					b[i] = c + 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return key
}

// Validate says what is wrong with h, or nil.
func (h Header) Validate() error {
	// Keys count as values do: a thousand empty values cost memory too.
	size, entries := 0, 0
	for k, vs := range h {
		if err := validKey(k); err != nil {
			return err
		}
		size += len(k)
		entries += 1 + len(vs)
		for _, v := range vs {
			size += len(v)
			if !strings.HasSuffix(k, "-bin") && !utf8.ValidString(v) {
				return Errorf(CodeInvalidArgument, "metadata %.80q: the value is not UTF-8; name the key %.80q to send bytes", k, k+"-bin")
			}
		}
	}
	if entries > maxMetadataEntries {
		return Errorf(CodeResourceExhausted, "metadata of %d keys and values is over the limit of %d, which the protocol sets", entries, maxMetadataEntries)
	}
	if size > maxMetadataSize {
		return Errorf(CodeResourceExhausted, "metadata of %d bytes is over the limit of %d bytes, which the protocol sets", size, maxMetadataSize)
	}
	return nil
}

// parseHeader reads metadata that came from a peer. Keys are not lower-cased here: a
// peer that sends upper case breaks the protocol.
func parseHeader(encoded []byte) (Header, *Error) {
	m, err := wire.ParseMetadata(encoded)
	if err != nil {
		return nil, NewError(CodeInvalidArgument, "metadata: "+err.Error())
	}
	if err := Header(m).Validate(); err != nil {
		return nil, err.(*Error)
	}
	return m, nil
}

// validKey says what is wrong with a key, or nil.
func validKey(k string) error {
	if k == "" {
		return NewError(CodeInvalidArgument, "metadata with an empty key")
	}
	for i := range len(k) {
		switch c := k[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return NewError(CodeInvalidArgument, fmt.Sprintf("metadata key %.80q: %q is not a lower-case letter, digit, '-', '_' or '.'", k, c))
		}
	}
	return nil
}
