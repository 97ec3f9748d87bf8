package schema

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

var (
	// The two errors that reading and writing have in common.
	errKey   = errors.New("want text or an integer as the key of a map")
	errDepth = fmt.Errorf("nested too deep: JSON nests at most %d levels, whatever the options", maxDepth)
)

// errLength is the error for a byte string that must have a length.
func errLength(want, got int) error { return fmt.Errorf("want %d bytes, got %d", want, got) }

// A scanner reads JSON (RFC 8259).
//
// It is strict, as the standard is: no comments, no comma at the end, no number
// such as 01. It never goes back by more than one token, and keeps nothing but
// its place.
type scanner struct {
	src string
	pos int
}

// space passes over the four characters that may stand between tokens.
func (s *scanner) space() {
	for s.pos < len(s.src) {
		switch s.src[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the first byte of the next token, 0 also at the end.
//
// No token begins with the byte 0, so that it can stand for the end.
func (s *scanner) peek() byte {
	s.space()
	if s.pos >= len(s.src) {
		return 0
	}
	return s.src[s.pos]
}

// end reports whether nothing but space is left.
//
// Space at the end of a document is no part of it.
func (s *scanner) end() bool {
	s.space()
	return s.pos >= len(s.src)
}

// take takes c if it comes next.
//
// It reports whether it has.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// literal takes a word if it comes next.
//
// The word can be the beginning of a longer one, such as nullable: what comes
// next is wrong then, wherever it is expected.
func (s *scanner) literal(word string) bool {
	s.space()
	if strings.HasPrefix(s.src[s.pos:], word) {
		s.pos += len(word)
		return true
	}
	return false
}

// syntax returns the error for what comes next.
//
// It shows the letter that is wrong, with its place in bytes from the
// beginning.
func (s *scanner) syntax(want string) error {
	if s.end() {
		return fmt.Errorf("JSON ends where %s should come", want)
	}
	r, _ := utf8.DecodeRuneInString(s.src[s.pos:])
	return fmt.Errorf("JSON has %q at offset %d where %s should come", r, s.pos, want)
}

// number returns the text of a number.
//
// It stays text, since only who wants the number knows how it is to be read:
// 2^63 is exact as an integer and not as a float.
func (s *scanner) number() (string, error) {
	s.space()
	start := s.pos
	// digits passes over digits, and reports whether there are any.
	digits := func() bool {
		at := s.pos
		for s.pos < len(s.src) && s.src[s.pos] >= '0' && s.src[s.pos] <= '9' {
			s.pos++
		}
		return s.pos > at
	}
	// next passes over one of the characters, if it comes.
	next := func(cs string) bool {
		if s.pos < len(s.src) && strings.IndexByte(cs, s.src[s.pos]) >= 0 {
			s.pos++
			return true
		}
		return false
	}
	next("-")
	// A number begins with 0 only if nothing but a fraction follows.
	zero := s.pos < len(s.src) && s.src[s.pos] == '0'
	first := s.pos
	if !digits() || zero && s.pos > first+1 || next(".") && !digits() {
		s.pos = start
		return "", s.syntax("a value")
	}
	if next("eE") {
		next("+-")
		if !digits() {
			s.pos = start
			return "", s.syntax("a number")
		}
	}
	return s.src[start:s.pos], nil
}

// text returns the value of a string.
//
// Most strings have no escape, and are a part of the input: nothing is copied.
func (s *scanner) text() (string, error) {
	if !s.take('"') {
		return "", s.syntax("a string")
	}
	start := s.pos
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; {
		case c == '"':
			t := s.src[start:s.pos]
			s.pos++
			if !utf8.ValidString(t) {
				return "", fmt.Errorf("JSON string at offset %d is not UTF-8", start)
			}
			return t, nil
		// From the first escape on the text is put together anew.
		case c == '\\':
			return s.escaped(start)
		// Control characters must be escaped.
		case c < ' ':
			return "", s.syntax("the end of a string")
		}
		s.pos++
	}
	return "", s.syntax("the end of a string")
}

// escaped is text from the first backslash on.
//
// start is where the string begins. From here on it is copied.
func (s *scanner) escaped(start int) (string, error) {
	b := []byte(s.src[start:s.pos])
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		switch {
		case c == '"':
			s.pos++
			if !utf8.Valid(b) {
				return "", fmt.Errorf("JSON string at offset %d is not UTF-8", start)
			}
			return string(b), nil
		case c < ' ':
			return "", s.syntax("the end of a string")
		case c != '\\':
			b = append(b, c)
			s.pos++
			continue
		}
		if s.pos+1 >= len(s.src) {
			break
		}
		c = s.src[s.pos+1]
		// The escapes of one letter, and below what they stand for.
		if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
			b = append(b, "\"\\/\b\f\n\r\t"[i])
			s.pos += 2
			continue
		}
		r, ok := s.unicode()
		if !ok {
			return "", fmt.Errorf("JSON has a bad escape at offset %d", s.pos)
		}
		b = utf8.AppendRune(b, r)
	}
	s.pos = len(s.src)
	return "", s.syntax("the end of a string")
}

// unicode reads \uXXXX, and a second one for a surrogate pair. A surrogate
// alone is an error: it has no UTF-8 form.
//
// A single surrogate is refused: encoding/json would replace it, and the text
// would not be what was sent.
func (s *scanner) unicode() (rune, bool) {
	four := func() (rune, bool) {
		if s.pos+6 > len(s.src) || s.src[s.pos:s.pos+2] != `\u` {
			return 0, false
		}
		v, err := strconv.ParseUint(s.src[s.pos+2:s.pos+6], 16, 16)
		return rune(v), err == nil
	}
	// A character beyond 16 bits has two escapes, a high and a low
	// surrogate.
	r, ok := four()
	if !ok {
		return 0, false
	}
	if !utf16.IsSurrogate(r) {
		s.pos += 6
		return r, true
	}
	at := s.pos
	s.pos += 6
	// DecodeRune returns the replacement character for what is no pair.
	low, ok := four()
	if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
		s.pos = at
		return 0, false
	}
	s.pos += 6
	return r, true
}
