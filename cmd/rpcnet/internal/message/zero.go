package message

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

// Complete returns the JSON form of a message with the fields that its sender left out
// because they are empty. It returns text itself if there is nothing to add. The order
// of members is kept, and added ones follow.
func Complete(s *schema.Schema, ref string, text []byte) ([]byte, error) {
	if !leavesOut(s) {
		return text, nil
	}
	return complete(s, ref, text, 0)
}

// leavesOut reports whether a type of the schema leaves out empty fields.
func leavesOut(s *schema.Schema) bool {
	for _, t := range s.Types {
		if t != nil && slices.ContainsFunc(t.Fields, func(f schema.Field) bool { return f.OmitEmpty }) {
			return true
		}
	}
	return false
}

// complete is Complete at a depth.
func complete(s *schema.Schema, ref string, text []byte, depth int) ([]byte, error) {
	text = bytes.TrimSpace(text)
	r := resolve(s, ref)
	if string(text) == "null" || depth > 2*maxDepth {
		return text, nil
	}
	switch r.form {
	case formOptional:
		return complete(s, r.elem, text, depth+1)
	case formList, formArray:
		var list []json.RawMessage
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, err
		}
		for i := range list {
			var err error
			if list[i], err = complete(s, r.elem, list[i], depth+1); err != nil {
				return nil, err
			}
		}
		return join('[', list, ']'), nil
	case formMap, formStruct, formUnion:
		return completeObject(s, r, text, depth)
	}
	return text, nil
}

// completeObject completes the members of an object, and adds those that are missing in
// a struct.
func completeObject(s *schema.Schema, r reference, text []byte, depth int) ([]byte, error) {
	names, values, err := members(text)
	if err != nil {
		return nil, err
	}
	parts := make([]json.RawMessage, 0, len(names))
	add := func(name string, value []byte) {
		parts = append(parts, slices.Concat(quote(name), json.RawMessage{':'}, value))
	}
	for i, name := range names {
		elem := r.elem
		if r.form != formMap {
			f, err := r.field("", name)
			if err != nil { // of a newer peer
				add(name, values[i])
				continue
			}
			elem = f.Type
		}
		v, err := complete(s, elem, values[i], depth+1)
		if err != nil {
			return nil, err
		}
		add(name, v)
	}
	if r.form == formStruct {
		for _, f := range r.typ.Fields {
			if f.OmitEmpty && !slices.Contains(names, f.Name) {
				add(f.Name, Zero(s, f.Type))
			}
		}
	}
	return join('{', parts, '}'), nil
}

// join returns a list or an object of its parts.
func join(open byte, parts []json.RawMessage, end byte) []byte {
	out := []byte{open}
	for i, p := range parts {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, p...)
	}
	return append(out, end)
}

// members takes an object apart, in the order of its members.
func members(text []byte) (names []string, values []json.RawMessage, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, errors.Join(errors.New("want an object"), err)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, nil, err
		}
		names, values = append(names, t.(string)), append(values, v)
	}
	return names, values, nil
}

// Zero returns the JSON form of the empty value of a type.
func Zero(s *schema.Schema, ref string) []byte { return value(s, ref, false, 0) }

// Example returns the JSON form of a value of a type that shows every field.
func Example(s *schema.Schema, ref string) []byte { return value(s, ref, true, 0) }

// value returns the empty value of a type, or an example.
func value(s *schema.Schema, ref string, example bool, depth int) []byte {
	r := resolve(s, ref)
	if depth > 4 && (r.form == formOptional || r.form == formList || r.form == formMap || r.form == formUnion) || depth > maxDepth {
		example = false // a type that contains itself
	}
	switch r.form {
	case formOptional:
		if example {
			return value(s, r.elem, true, depth+1)
		}
		return []byte("null")
	case formList:
		if example {
			return join('[', []json.RawMessage{value(s, r.elem, true, depth+1)}, ']')
		}
		return []byte("[]")
	case formArray:
		list := make([]json.RawMessage, min(r.n, 64))
		for i := range list {
			list[i] = value(s, r.elem, example, depth+1)
		}
		return join('[', list, ']')
	case formMap:
		if !example {
			return []byte("{}")
		}
		key := `"key"`
		if strings.Contains(r.key, "int") {
			key = `"1"`
		}
		return join('{', []json.RawMessage{slices.Concat([]byte(key), []byte{':'}, value(s, r.elem, true, depth+1))}, '}')
	case formStruct:
		if depth > maxDepth {
			return []byte("{}")
		}
		var parts []json.RawMessage
		for _, f := range r.typ.Fields {
			parts = append(parts, slices.Concat(quote(f.Name), json.RawMessage{':'}, value(s, f.Type, example, depth+1)))
		}
		return join('{', parts, '}')
	case formUnion:
		if !example || len(r.typ.Variants) == 0 {
			return []byte("null")
		}
		v := r.typ.Variants[0]
		return join('{', []json.RawMessage{slices.Concat(quote(v.Name), json.RawMessage{':'}, value(s, v.Type, true, depth+1))}, '}')
	}
	return scalar(r, example)
}

// scalar returns the empty value of a type without parts, or an example.
func scalar(r reference, example bool) []byte {
	text := map[string][2]string{
		"bool": {"false", "true"}, "string": {`""`, `"text"`}, "text": {`""`, `"text"`},
		"bytes": {`""`, `"YWJj"`}, "binary": {`""`, `"YWJj"`},
		"time":     {`"0001-01-01T00:00:00Z"`, `"2006-01-02T15:04:05Z"`},
		"duration": {`"0s"`, `"1.5s"`}, "raw": {"null", "null"}, "protobuf": {"null", "null"},
		"float32": {"0", "1.5"}, "float64": {"0", "1.5"},
	}
	i := 0
	if example {
		i = 1
	}
	if t, ok := text[r.form]; ok && r.n == 0 {
		return []byte(t[i])
	}
	if r.n > 0 { // bytes of a fixed length
		return quote(base64.StdEncoding.EncodeToString(make([]byte, min(r.n, 1<<10))))
	}
	if r.form == formEnum {
		isText := r.typ.Base == "string"
		for _, v := range r.typ.Values {
			switch {
			case isText && example:
				return quote(v.Value)
			case !isText && (example || v.Value == "0"):
				return quote(v.Name)
			}
		}
		if isText {
			return []byte(`""`)
		}
	}
	return []byte{'0' + byte(i)}
}
