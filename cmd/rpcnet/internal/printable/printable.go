// Package printable makes text safe to print on a terminal. What a node sends can
// contain escape sequences that move the cursor, change the title or reorder
// letters, and can be as long as its sender likes.
package printable

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line returns s as one line of at most limit bytes, with everything that is not a
// visible letter or a space escaped as Go does it, such as \x1b. A text that is
// longer ends in "...". Line does not allocate if s is as it should be.
func Line(s string, limit int) string {
	clean := len(s) <= limit
	for i := 0; clean && i < len(s); i++ {
		clean = ' ' <= s[i] && s[i] < 0x7f
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		piece := string(r)
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			piece = escaped(s[i:], r)
		}
		if b.Len()+len(piece) > limit {
			b.WriteString("...")
			break
		}
		b.WriteString(piece)
	}
	return b.String()
}

// escaped returns the escape of the first rune of s, which is r.
func escaped(s string, r rune) string {
	if _, size := utf8.DecodeRuneInString(s); r == utf8.RuneError && size == 1 {
		return `\x` + strconv.FormatUint(uint64(s[0])>>4, 16) + strconv.FormatUint(uint64(s[0])&15, 16)
	}
	q := strconv.QuoteRuneToASCII(r)
	return q[1 : len(q)-1]
}

// JSON returns a JSON text in which everything invisible, but for line feeds, stands
// as \uXXXX. The value stays the same, since outside of strings JSON has visible
// letters, spaces and line feeds alone. It returns p itself if there is nothing to do.
func JSON(p []byte) []byte {
	if bytes.IndexFunc(p, hidden) < 0 {
		return p
	}
	var out []byte
	for len(p) > 0 {
		r, size := utf8.DecodeRune(p)
		switch {
		case !hidden(r):
			out = append(out, p[:size]...)
		case r > 0xffff:
			// As UTF-16 has it: two surrogates.
			r -= 0x10000
			out = appendEscape(appendEscape(out, 0xd800+r>>10), 0xdc00+r&0x3ff)
		default: // also the replacement character, of what is no UTF-8
			out = appendEscape(out, r)
		}
		p = p[size:]
	}
	return out
}

// hidden reports whether JSON escapes r.
func hidden(r rune) bool { return r != '\n' && (r == utf8.RuneError || !unicode.IsPrint(r)) }

// appendEscape appends \uXXXX.
func appendEscape(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
