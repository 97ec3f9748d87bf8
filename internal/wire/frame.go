// Package wire has the layout of the frames of a session. It appends and parses
// them and does nothing else: it keeps no state, and the memory that it allocates
// is in proportion to its input. docs/protocol.md describes the same for other languages.
//
// # Version 1
//
// A session starts with a SETTINGS frame from each side. The first number in it
// is the version. A peer that does not speak that version answers GOAWAY with
// [ReasonVersion] and closes. Version 1 can grow in three ways: by frame types
// with the ignorable flag, by settings and by fields of STATUS. Peers skip those
// that they do not know. Everything else needs version 2.
//
// A frame is an 8-byte header, a little-endian 64-bit number, and a payload:
//
//	bits  0..23  length of the payload, at most [MaxPayload]
//	bits 24..28  type
//	bit  29      ignorable: a receiver that does not know the type skips it
//	bit  30      more: the message continues in the next DATA of the stream
//	bit  31      end: nothing follows from this side but RESET
//	bits 32..63  stream id; 0 is the session
//
// Payloads (uvarint as in encoding/binary, integers little-endian):
//
//	SETTINGS  version uvarint, then pairs (key uvarint, value uvarint)
//	OPEN      see [Open]; ends with the first message or its first part
//	DATA      a message, or a part of one while "more" is set; empty is allowed
//	END       empty: the caller has sent its last request
//	STATUS    empty for success without trailers, else CBOR, see [Status];
//	          the server's last frame of the stream, always sent
//	RESET     code byte: the caller gives up; the server still answers STATUS,
//	          when the handler has returned
//	HEADER    metadata that precedes the first response
//	CREDIT    bytes uint32: the peer may send that much more on the stream, or
//	          with id 0 on the session
//	PING      8 bytes; PONG returns them
//	GOAWAY    reason byte, then text: the peer starts no new calls here
//
// The calling side chooses the stream ids. It takes the smallest free one, and
// an id is free again when its STATUS has arrived. An empty message is a DATA
// frame of length 0, the end of the requests is END or the end flag, and an
// error is STATUS.
//
// Flow control: every message byte costs one byte of credit. Every frame with
// message bytes costs [FrameCost] bytes more, so that empty messages are not
// free. Both the stream's and the session's credit are charged. SETTINGS say how
// large the windows are at the start.
package wire

import (
	"encoding/binary"
	"fmt"
)

// Version is the version of the layout, as SETTINGS carry it.
const Version = 1

// Limits of the layout.
const (
	// HeaderLen is the length of a frame header in bytes.
	HeaderLen = 8
	// MaxChunk is the most message bytes one frame carries.
	MaxChunk = 64 << 10
	// MaxMetadata is the most bytes of encoded metadata.
	MaxMetadata = 20 << 10
	// MaxProcedure is the longest procedure name in bytes.
	MaxProcedure = 255
	// MaxPayload is the longest payload: an OPEN with everything in it.
	MaxPayload = MaxChunk + MaxMetadata + MaxProcedure + 64
	// MaxStatus is the longest STATUS payload: message, details, trailers.
	MaxStatus = MaxMessage + MaxDetails + MaxMetadata + 1<<10
	// FrameCost is the credit that a frame with message bytes costs in addition
	// to these bytes.
	FrameCost = HeaderLen
)

// A Type is the type of a frame.
type Type byte

// The frame types.
const (
	TypeSettings Type = 1
	TypeOpen     Type = 2
	TypeData     Type = 3
	TypeEnd      Type = 4
	TypeStatus   Type = 5
	TypeReset    Type = 6
	TypeHeader   Type = 7
	TypeCredit   Type = 8
	TypePing     Type = 9
	TypePong     Type = 10
	TypeGoAway   Type = 11
)

// typeNames are the names of the types, by number.
var typeNames = [...]string{"0", "SETTINGS", "OPEN", "DATA", "END", "STATUS", "RESET", "HEADER", "CREDIT", "PING", "PONG", "GOAWAY"}

// String returns the type's name in capitals.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", byte(t))
}

// Flags of a frame, at their place in the header.
const (
	FlagIgnorable = 1 << 29 // a receiver that does not know the type skips the frame
	FlagMore      = 1 << 30 // the message continues in the next DATA of the stream
	FlagEnd       = 1 << 31 // this side sends no more messages on the stream
)

// A Header is the header of a frame as one number. Every number is a header, so
// parsing cannot fail; [Header.Check] says whether it is allowed.
type Header uint64

// MakeHeader returns the header of a frame with a payload of n bytes, at most
// [MaxPayload]. flags is any combination of the Flag constants.
func MakeHeader(t Type, flags uint64, id uint32, n int) Header {
	return Header(uint64(n) | uint64(t)<<24 | flags | uint64(id)<<32)
}

// ParseHeader reads a header from the first 8 bytes of b.
func ParseHeader(b []byte) Header { return Header(binary.LittleEndian.Uint64(b)) }

// Append appends the 8 bytes of h to b.
func (h Header) Append(b []byte) []byte { return binary.LittleEndian.AppendUint64(b, uint64(h)) }

// Put writes h over the first 8 bytes of b.
func (h Header) Put(b []byte) { binary.LittleEndian.PutUint64(b, uint64(h)) }

// Len returns the length of the payload in bytes.
func (h Header) Len() int { return int(h & 0xffffff) }

// Type returns the type of the frame.
func (h Header) Type() Type { return Type(h >> 24 & 0x1f) }

// ID returns the stream id. 0 is the session.
func (h Header) ID() uint32 { return uint32(h >> 32) }

// Has reports whether one of the Flag constants is set.
func (h Header) Has(flag uint64) bool { return uint64(h)&flag != 0 }

// Check returns an error if the length is over the limit of the type, or if the
// type is unknown and the frame is not ignorable. A reader calls it before it
// reads any payload, so a peer cannot make it allocate more than that limit.
func (h Header) Check() error {
	n, limit := h.Len(), 0
	switch h.Type() {
	case TypeOpen:
		limit = MaxPayload
	case TypeData:
		limit = MaxChunk
	case TypeStatus:
		limit = MaxStatus
	case TypeHeader:
		limit = MaxMetadata
	case TypeSettings, TypeGoAway:
		limit = 1 << 10
	case TypeEnd:
	case TypeReset:
		limit = 1
	case TypeCredit:
		limit = 4
	case TypePing, TypePong:
		limit = 8
	default:
		if !h.Has(FlagIgnorable) {
			return fmt.Errorf("frame of unknown %v", h.Type())
		}
		limit = MaxPayload
	}
	if n > limit {
		return fmt.Errorf("%v frame of %d bytes is over the limit of %d", h.Type(), n, limit)
	}
	return nil
}
