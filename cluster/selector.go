package cluster

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// A Selector chooses nodes by their tags. It is a list of conditions joined by
// commas, all of which must hold:
//
//	role=worker          the tag has this value (also ==)
//	label!=x             it has another value, or is absent
//	zone in (a,b)        it has one of these values
//	zone not in (a,b)    it has none of them, or is absent (also notin)
//	gpu                  it is present
//	!gpu                 it is absent
//
// Values are bare words without space , ( ) = ! and ", or stand in double quotes, without
// escapes. A selector has at most 4096 bytes, 64 conditions and 256 values in a
// condition. The zero Selector, to which "" is parsed, matches every node. A Selector is
// immutable and safe for concurrent use.
type Selector struct {
	terms []term // all must hold
	text  string // the normal form
}

// An operator says what a condition demands of a tag.
type operator uint8

const (
	opIn     operator = iota // the tag has one of the values
	opNotIn                  // it has none of them, or is absent
	opExists                 // it is present
	opAbsent                 // it is absent
)

// A term is one condition. With opExists and opAbsent it has no values; else they are
// sorted, each once.
type term struct {
	key    string
	op     operator
	values []string
}

// The limits of a selector. Selectors come from callers, possibly with every call.
const (
	maxSelectorSize   = 4096
	maxSelectorTerms  = 64
	maxSelectorValues = 256
)

// ParseSelector reads a selector. An error has [rpcnet.CodeInvalidArgument]; its
// text says what is wrong, and at which character.
func ParseSelector(text string) (Selector, error) {
	p := selectorParser{text: text}
	if len(text) > maxSelectorSize {
		return Selector{}, p.fail(0, "%d bytes are over the limit of %d", len(text), maxSelectorSize)
	}
	if !utf8.ValidString(text) {
		return Selector{}, &selectorError{text: strings.ToValidUTF8(text, "\uFFFD"), reason: "not UTF-8"}
	}
	p.skip()
	if p.pos == len(text) { // no condition: every node matches
		return Selector{}, nil
	}
	var terms []term
	for {
		t, err := p.term()
		if err != nil {
			return Selector{}, err
		}
		if terms = append(terms, t); len(terms) > maxSelectorTerms {
			return Selector{}, p.fail(p.pos, "more than %d conditions", maxSelectorTerms)
		}
		p.skip()
		if p.pos == len(text) {
			return Selector{terms: terms, text: canonical(terms)}, nil
		}
		if !p.take(",") {
			return Selector{}, p.fail(p.pos, "want ',' or the end, found %q", p.rest())
		}
	}
}

// A selectorError says what is wrong with the text of a selector, and where.
type selectorError struct {
	text   string
	offset int // in bytes, from 0
	reason string
}

// Error returns the reason, the position counted in characters from 1, and the
// text.
func (e *selectorError) Error() string {
	at := utf8.RuneCountInString(e.text[:e.offset]) + 1
	return fmt.Sprintf("cluster: selector %q: at character %d: %s", loglimit.Cut(e.text), at, e.reason)
}

// Unwrap makes a handler that returns e fail with this code and text.
func (e *selectorError) Unwrap() error { return rpcnet.NewError(rpcnet.CodeInvalidArgument, e.Error()) }

// Matches reports whether a node with these tags is chosen. It allocates nothing. Its cost
// grows with the number of conditions and values.
func (s Selector) Matches(tags Tags) bool {
	for i := range s.terms {
		t := &s.terms[i]
		v, ok := tags[t.key]
		switch t.op {
		case opIn:
			ok = ok && slices.Contains(t.values, v)
		case opNotIn:
			ok = !ok || !slices.Contains(t.values, v)
		case opAbsent:
			ok = !ok
		}
		if !ok {
			return false
		}
	}
	return true
}

// String returns the selector in a normal form, which [ParseSelector] reads. Selectors
// that differ only in spacing, in the order of values and in the spelling of operators
// have the same.
func (s Selector) String() string { return s.text }

// Empty reports whether s matches every node.
func (s Selector) Empty() bool { return len(s.terms) == 0 }

// A selectorParser reads a selector from left to right. Each method takes what it names
// from the front of the rest, or returns an error with the position.
type selectorParser struct {
	text string
	pos  int // of the rest, in bytes
}

// fail returns an error at a position, in bytes.
func (p *selectorParser) fail(at int, format string, args ...any) error {
	return &selectorError{p.text, at, fmt.Sprintf(format, args...)}
}

// skip skips spaces and tabs.
func (p *selectorParser) skip() {
	for p.pos < len(p.text) && (p.text[p.pos] == ' ' || p.text[p.pos] == '\t') {
		p.pos++
	}
}

// take takes s if the rest begins with it, and reports whether it does.
func (p *selectorParser) take(s string) bool {
	if strings.HasPrefix(p.text[p.pos:], s) {
		p.pos += len(s)
		return true
	}
	return false
}

// word takes a keyword if the rest begins with it: one that ends there, and is not the
// beginning of a longer word.
func (p *selectorParser) word(w string) bool {
	rest := p.text[p.pos:]
	if !strings.HasPrefix(rest, w) || len(rest) > len(w) && isKeyByte(rest[len(w)]) {
		return false
	}
	p.pos += len(w)
	return true
}

// rest returns what follows, for errors, cut to 12 characters.
func (p *selectorParser) rest() string {
	r := p.text[p.pos:]
	if utf8.RuneCountInString(r) > 12 {
		r = string([]rune(r)[:12]) + "…"
	}
	return r
}

// term takes one condition.
//
//	condition = "!" key | key [ operator ]
//	operator  = ("=" | "==" | "!=") value | ("in" | "not in" | "notin") "(" value { "," value } ")"
func (p *selectorParser) term() (term, error) {
	p.skip()
	if p.take("!") {
		p.skip()
		key, err := p.key()
		return term{key: key, op: opAbsent}, err
	}
	key, err := p.key()
	if err != nil {
		return term{}, err
	}
	p.skip()
	start := p.pos
	switch { // the longer operator before the one it begins with
	case p.take("!="):
		return p.single(key, opNotIn)
	case p.take("=="), p.take("="):
		return p.single(key, opIn)
	case p.word("in"):
		return p.list(key, opIn)
	case p.word("notin"):
		return p.list(key, opNotIn)
	case p.word("not"):
		// A tag can be called "not", but cannot stand here: after a key comes an operator.
		p.skip()
		if !p.word("in") {
			return term{}, p.fail(p.pos, "want \"in\" after \"not\"")
		}
		return p.list(key, opNotIn)
	case p.pos == len(p.text) || p.text[p.pos] == ',':
		return term{key: key, op: opExists}, nil
	}
	return term{}, p.fail(start, "want =, !=, in, not in, ',' or the end after %q, found %q", key, p.rest())
}

// key takes the key of a tag.
func (p *selectorParser) key() (string, error) {
	start := p.pos
	for p.pos < len(p.text) && isKeyByte(p.text[p.pos]) {
		p.pos++
	}
	key := p.text[start:p.pos]
	switch {
	case key == "" && p.pos == len(p.text):
		return "", p.fail(start, "want a tag key, found the end")
	case key == "":
		return "", p.fail(start, "want a tag key, found %q", p.rest())
	case len(key) > 63:
		return "", p.fail(start, "tag key of %d bytes, at most 63", len(key))
	}
	return key, nil
}

// single takes one value, and returns the condition with it.
func (p *selectorParser) single(key string, op operator) (term, error) {
	p.skip()
	v, err := p.value()
	return term{key: key, op: op, values: []string{v}}, err
}

// list takes values in parentheses, and returns the condition with them.
func (p *selectorParser) list(key string, op operator) (term, error) {
	p.skip()
	if !p.take("(") {
		return term{}, p.fail(p.pos, "want '(' before the values of %q", key)
	}
	t := term{key: key, op: op}
	for {
		p.skip()
		v, err := p.value()
		if err != nil {
			return term{}, err
		}
		if t.values = append(t.values, v); len(t.values) > maxSelectorValues {
			return term{}, p.fail(p.pos, "more than %d values", maxSelectorValues)
		}
		p.skip()
		switch {
		case p.take(","):
		case p.take(")"):
			// Sorted, each once: the normal form.
			slices.Sort(t.values)
			t.values = slices.Compact(t.values)
			return t, nil
		default:
			return term{}, p.fail(p.pos, "want ',' or ')' in the values of %q", key)
		}
	}
}

// value takes a bare or a quoted value. A bare one is not empty.
func (p *selectorParser) value() (string, error) {
	start := p.pos
	// A quoted value can hold all but the quote. There are no escapes, so that it looks
	// the same in a shell, in a flag and in a file.
	if p.take(`"`) {
		end := strings.IndexByte(p.text[p.pos:], '"')
		if end < 0 {
			return "", p.fail(start, "the quote is not closed")
		}
		v := p.text[p.pos : p.pos+end]
		p.pos += end + 1
		return v, nil
	}
	for p.pos < len(p.text) && !strings.ContainsRune(" \t,()=!\"", rune(p.text[p.pos])) {
		p.pos++
	}
	if p.pos == start {
		if p.pos == len(p.text) {
			return "", p.fail(start, "want a value, found the end")
		}
		return "", p.fail(start, "want a value, found %q; an empty value is \"\"", p.rest())
	}
	return p.text[start:p.pos], nil
}

// canonical returns the normal form of a selector.
func canonical(terms []term) string {
	var b strings.Builder
	for i, t := range terms {
		if i > 0 {
			b.WriteByte(',')
		}
		switch {
		case t.op == opExists:
			b.WriteString(t.key)
		case t.op == opAbsent:
			b.WriteString("!" + t.key)
		case len(t.values) == 1:
			b.WriteString(t.key + map[operator]string{opIn: "=", opNotIn: "!="}[t.op] + quoteValue(t.values[0]))
		default:
			b.WriteString(t.key + map[operator]string{opIn: " in (", opNotIn: " not in ("}[t.op])
			for j, v := range t.values {
				if j > 0 {
					b.WriteByte(',')
				}
				b.WriteString(quoteValue(v))
			}
			b.WriteByte(')')
		}
	}
	return b.String()
}

// quoteValue returns a value as value reads it.
func quoteValue(v string) string {
	if v == "" || strings.ContainsAny(v, " \t,()=!") {
		return `"` + v + `"`
	}
	return v
}
