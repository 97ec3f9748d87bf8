package wire

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// Limits of a STATUS in bytes. A longer message is cut. Details over the limit are
// left out, from the last one on.
const (
	MaxMessage = 4 << 10
	MaxDetails = 64 << 10
)

// A Status is the payload of a STATUS frame. It is empty for success without
// trailers. Otherwise it is a CBOR map (RFC 8949) with these keys, of which only
// the first is required:
//
//	1  code, unsigned
//	2  message, text
//	3  details, array of [name text, data bytes]
//	4  trailer, map from text to array of text, or of bytes for "-bin" keys
//	5  true: no handler has seen the call, so it can be made again elsewhere
//
// Unknown keys are skipped.
type Status struct {
	// Code is one of the constants of this package. 0 is success.
	Code byte
	// Message is for people. Invalid UTF-8 in it is replaced.
	Message string
	// Details are found by the types of their names on the other side.
	Details []Detail
	// Trailer is metadata that comes with the end of a call.
	Trailer map[string][]string
	// Unprocessed says that no handler has seen the call.
	Unprocessed bool
}

// A Detail is a typed detail of a status. Data is encoded by the contract's codec.
type Detail struct {
	Name string
	Data []byte
}

// The keys of the map.
const (
	statusCode = iota + 1
	statusMessage
	statusDetails
	statusTrailer
	statusUnprocessed
)

// Append appends the payload to dst. It cuts the message and leaves out details to
// keep to the limits. The caller checks the size of the trailer.
func (s *Status) Append(dst []byte) []byte {
	if s.Code == 0 && len(s.Trailer) == 0 {
		return dst
	}
	message := strings.ToValidUTF8(s.Message, "�")
	if len(message) > MaxMessage {
		cut := MaxMessage - len("...")
		for cut > 0 && !utf8.RuneStart(message[cut]) {
			cut--
		}
		message = message[:cut] + "..."
	}
	// 16 bytes are more than the heads of a detail's array, name and data take.
	details, size := 0, 0
	for _, d := range s.Details {
		if size += len(d.Name) + len(d.Data) + 16; size > MaxDetails {
			break
		}
		details++
	}
	// A map says first how many keys it has: the code, and what else there is.
	n := 1
	for _, has := range [...]bool{message != "", details > 0, len(s.Trailer) > 0, s.Unprocessed} {
		if has {
			n++
		}
	}
	b := cbor.Buffer(dst).AppendMap(n)
	b = b.AppendUint(statusCode)
	b = b.AppendUint(uint64(s.Code))
	if message != "" {
		b = b.AppendUint(statusMessage)
		b = b.AppendString(message)
	}
	if details > 0 {
		b = b.AppendUint(statusDetails)
		b = b.AppendArray(details)
		for _, d := range s.Details[:details] {
			b = b.AppendArray(2)
			b = b.AppendString(d.Name)
			b = b.AppendBytes(d.Data)
		}
	}
	if len(s.Trailer) > 0 {
		b = b.AppendUint(statusTrailer)
		b = b.AppendMap(len(s.Trailer))
		for k, vs := range s.Trailer {
			b = b.AppendString(k)
			b = b.AppendArray(len(vs))
			for _, v := range vs {
				if strings.HasSuffix(k, "-bin") {
					b = b.AppendBytes([]byte(v))
				} else {
					b = b.AppendString(v)
				}
			}
		}
	}
	if s.Unprocessed {
		b = b.AppendUint(statusUnprocessed)
		b = b.AppendBool(true)
	}
	return b
}

// AppendSuccess appends the payload of a success whose trailer has one value of one key,
// which ends in "-bin". It is what [Status.Append] does, without a map to allocate: a
// worker's load goes with each response.
func AppendSuccess(dst []byte, key string, value []byte) []byte {
	b := cbor.Buffer(dst).AppendMap(2)
	b = b.AppendUint(statusCode)
	b = b.AppendUint(0)
	b = b.AppendUint(statusTrailer)
	b = b.AppendMap(1)
	b = b.AppendString(key)
	b = b.AppendArray(1)
	return b.AppendBytes(value)
}

// Parse reads the payload of a STATUS frame into s. The result does not point into
// b. The reader of frames refuses more than [MaxStatus] bytes, which bounds what is
// decoded.
func (s *Status) Parse(b []byte) error {
	*s = Status{}
	if len(b) == 0 {
		return nil
	}
	var d cbor.Decoder
	d.Reset(b, cbor.Limits{})
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
		switch d.Uint64() {
		case statusCode:
			s.Code = byte(d.UintN(8))
		case statusMessage:
			s.Message = d.Text()
		case statusDetails:
			for n := d.Array(); n > 0 && d.Err() == nil; n-- {
				d.ArrayOf(2)
				s.Details = append(s.Details, Detail{d.Text(), d.Bytes()})
				d.Leave()
			}
			d.Leave()
		case statusTrailer:
			s.Trailer = map[string][]string{}
			for n := d.Map(); n > 0 && d.Err() == nil; n-- {
				k := d.Text()
				for n := d.Array(); n > 0 && d.Err() == nil; n-- {
					if strings.HasSuffix(k, "-bin") {
						s.Trailer[k] = append(s.Trailer[k], string(d.Bytes()))
					} else {
						s.Trailer[k] = append(s.Trailer[k], d.Text())
					}
				}
				d.Leave()
			}
			d.Leave()
		case statusUnprocessed:
			s.Unprocessed = d.Bool()
		default:
			d.Skip()
		}
	}
	d.Leave()
	if err := d.Finish(); err != nil {
		return fmt.Errorf("STATUS: %w", err)
	}
	return nil
}

// Succeeded reports whether b, the payload of a STATUS frame, says that the call has
// succeeded, and returns the first value that its trailer has for key, which ends in
// "-bin". It reports false for what [Status.Parse] refuses. It allocates nothing, and
// the value points into b.
func Succeeded(b []byte, key string) (value []byte, ok bool) {
	if len(b) == 0 {
		return nil, true
	}
	var d cbor.Decoder
	d.Reset(b, cbor.Limits{})
	code := uint64(0)
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
		switch d.Uint64() {
		case statusCode:
			code = d.UintN(8)
		case statusMessage:
			d.View()
		case statusTrailer:
			value = binaryTrailer(&d, key)
		case statusDetails: // a success has none
			return nil, false
		case statusUnprocessed:
			d.Bool()
		default:
			d.Skip()
		}
	}
	d.Leave()
	return value, d.Finish() == nil && code == 0
}

// binaryTrailer reads a trailer and returns the first value of key.
func binaryTrailer(d *cbor.Decoder, key string) (value []byte) {
	found := false
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
		k := d.View()
		binary := strings.HasSuffix(k, "-bin")
		for n := d.Array(); n > 0 && d.Err() == nil; n-- {
			if !binary {
				d.View()
			} else if v := d.ViewBytes(); !found && k == key {
				value, found = v, true
			}
		}
		d.Leave()
	}
	d.Leave()
	return value
}
