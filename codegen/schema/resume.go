package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/rpcnet-go/rpcnet/codegen"
)

// resume returns how a stream of m goes on with messages in JSON,
// nil if it does not.
//
// It does what generated code does with the fields of Go types,
// by their names in the descriptor. A descriptor of an older
// generator has no name for the sequence: then the stream does
// not resume.
func (s *Schema) resume(m *Method) *codegen.Resume {
	if m.ResumeFrom == "" || m.Sequence == "" {
		return nil
	}
	union := s.Types[m.Response] != nil && s.Types[m.Response].Kind == "union"
	r := &codegen.Resume{
		Sequence: func(res any) uint64 {
			text, err := textOf(res)
			if err != nil {
				return 0
			}
			if union {
				_, text = variant(text)
			}
			return number(member(text, m.Sequence))
		},
		From: func(req any, next uint64) any {
			from := resumed{field: m.ResumeFrom, list: m.Accepted}
			switch req := req.(type) {
			case *resumed:
				from.request, from.accepted = req.request, req.accepted
			default:
				text, err := textOf(req)
				if err != nil {
					return req
				}
				// The caller may use its memory again.
				from.request = bytes.Clone(text)
			}
			from.next = next
			return &from
		},
	}
	// A caller that goes on itself, as a browser does after a
	// reconnect, says where.
	r.Next = func(req any) uint64 {
		text, err := textOf(req)
		if err != nil {
			return 0
		}
		return number(member(text, m.ResumeFrom))
	}
	if m.Accepted == "" {
		return r
	}
	r.Accepted = func(req, res any) any {
		text, err := textOf(res)
		if err != nil {
			return req
		}
		// Of a union the list holds the values of one variant,
		// without its name.
		if m.AcceptedVariant != "" {
			name, value := variant(text)
			if name != m.AcceptedVariant {
				return req
			}
			text = value
		}
		// The request becomes one that can hold responses with
		// the first of them.
		to, ok := req.(*resumed)
		if !ok {
			to, ok = r.From(req, 0).(*resumed)
			if !ok {
				return req
			}
		}
		to.accepted = append(to.accepted, bytes.Clone(text))
		return to
	}
	return r
}

// A resumed is the first request of a stream that goes on
// elsewhere.
//
// It is put together when it is sent: a stream of many responses
// would otherwise copy its request for each of them.
type resumed struct {
	request  []byte
	field    string // gets next
	next     uint64 // 0: the field is as in the request
	list     string // gets what was accepted, behind what it has
	accepted []json.RawMessage
}

// text returns the request in JSON.
func (r *resumed) text() ([]byte, error) {
	var o map[string]json.RawMessage
	if err := json.Unmarshal(r.request, &o); err != nil {
		return nil, fmt.Errorf("the request is no JSON object: %w", err)
	}
	// JSON has null for an object.
	if o == nil {
		o = map[string]json.RawMessage{}
	}
	if r.next > 0 {
		o[r.field] = strconv.AppendUint(nil, r.next, 10)
	}
	if len(r.accepted) > 0 {
		var list []json.RawMessage
		if err := json.Unmarshal(o[r.list], &list); err != nil && len(o[r.list]) > 0 {
			return nil, fmt.Errorf("%s of the request is no JSON array: %w", r.list, err)
		}
		list = append(list, r.accepted...)
		b, err := json.Marshal(list)
		if err != nil {
			return nil, err
		}
		o[r.list] = b
	}
	return json.Marshal(o)
}

// number returns a number of 64 bits in JSON, which can be a
// string, 0 if raw is none.
func number(raw []byte) uint64 {
	n, err := strconv.ParseUint(string(bytes.Trim(raw, `"`)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// member returns the value of a member of a JSON object, nil if
// it has none.
func member(text []byte, name string) (value []byte) {
	each(text, func(n string, v []byte) bool {
		if n == name {
			value = v
		}
		return n != name
	})
	return value
}

// variant returns the name and the value of the one member of a
// union.
func variant(text []byte) (name string, value []byte) {
	each(text, func(n string, v []byte) bool {
		name, value = n, v
		return false
	})
	return name, value
}

// each calls f with the members of a JSON object until f returns
// false or the object ends, or what comes is no JSON.
func each(text []byte, f func(name string, value []byte) bool) {
	// The scanner of the reader is used, so that both agree on
	// what a string is.
	s := scanner{src: string(text)}
	if !s.take('{') {
		return
	}
	for first := true; !s.take('}'); first = false {
		if !first && !s.take(',') {
			return
		}
		name, err := s.text()
		if err != nil || !s.take(':') {
			return
		}
		s.space()
		start := s.pos
		if !s.skip() || !f(name, text[start:s.pos]) {
			return
		}
	}
}

// skip passes over a value. It reports false if none comes. What
// is within an object or an array is not checked beyond its
// strings and its brackets.
func (s *scanner) skip() bool {
	// Brackets are counted, of either kind: what the search
	// returns is parsed by who uses it.
	depth := 0
	for {
		switch c := s.peek(); {
		case c == 0:
			return false
		case c == '"':
			if _, err := s.text(); err != nil {
				return false
			}
		case c == '{' || c == '[':
			depth++
			s.pos++
		case c == '}' || c == ']':
			if depth == 0 {
				return false
			}
			depth--
			s.pos++
		case c == ',' || c == ':':
			if depth == 0 {
				return false
			}
			s.pos++
		default: // a number or a word
			for s.pos < len(s.src) && !bytes.ContainsRune([]byte(",:{}[]\" \t\r\n"), rune(s.src[s.pos])) {
				s.pos++
			}
		}
		if depth == 0 {
			return true
		}
	}
}
