// Package reuse keeps the memory of a message that another message is decoded over:
// package cbor fills it in from the type of the message, and its Decoder takes memory
// out of it.
package reuse

// Parts are the parts of one value whose memory can be used again. Each points to a
// field of the value, so that they are found once and serve for each value that is put
// in its place. They are not safe for concurrent use.
//
// A part that has been taken is gone: two fields never get the same memory.
type Parts struct {
	// Value points to the value.
	Value any

	bytes []*[]byte
	texts []*string
	// slices has a *[]E for each slice of other elements, and maps a *M for each map.
	slices, maps []any
	// nextText is the text that is expected next: fields mostly come in their order.
	nextText int
}

// AddBytes adds a byte slice.
func (p *Parts) AddBytes(b *[]byte) { p.bytes = append(p.bytes, b) }

// AddText adds a text.
func (p *Parts) AddText(s *string) { p.texts = append(p.texts, s) }

// AddSlice adds a slice of elements E; s is a *[]E.
func (p *Parts) AddSlice(s any) { p.slices = append(p.slices, s) }

// AddMap adds a map of type M; m is a *M.
func (p *Parts) AddMap(m any) { p.maps = append(p.maps, m) }

// Rewind prepares p for the next value.
func (p *Parts) Rewind() { p.nextText = 0 }

// Bytes takes an empty slice with room for n bytes; nil if there is none. It is the first
// that is large enough.
func (p *Parts) Bytes(n int) []byte {
	for _, b := range p.bytes {
		if cap(*b) >= n {
			taken := (*b)[:0]
			*b = nil
			return taken
		}
	}
	return nil
}

// textTries is how many texts are compared with one that comes.
const textTries = 4

// Text returns a text that is b, if it is one of the few that are expected next. Texts
// never change, so that one may stand in any number of messages.
func (p *Parts) Text(b []byte) (s string, ok bool) {
	for i := p.nextText; i < min(p.nextText+textTries, len(p.texts)); i++ {
		if s := *p.texts[i]; s == string(b) {
			p.nextText = i + 1
			return s, true
		}
	}
	return "", false
}

// Slice takes an empty slice with room for n elements, which are zero; nil if there is
// none.
func Slice[E any](p *Parts, n int) []E {
	for _, part := range p.slices {
		if s, ok := part.(*[]E); ok && cap(*s) >= n {
			taken := (*s)[:n]
			*s = nil
			clear(taken)
			return taken[:0]
		}
	}
	return nil
}

// mostEntries is how many entries a map may have that is used again. To empty a map takes
// time in proportion to the largest size it ever had: a peer must not make every small
// message as expensive as one large one.
const mostEntries = 64

// Map takes a map of type M, which is empty; nil if there is none.
func Map[M ~map[K]V, K comparable, V any](p *Parts) M {
	for _, part := range p.maps {
		if m, ok := part.(*M); ok && *m != nil && len(*m) <= mostEntries {
			taken := *m
			*m = nil
			clear(taken)
			return taken
		}
	}
	return nil
}
