package message

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

// Build returns the JSON form of a message of the type ref, made of words:
//
//	name=Ada          a field, by its type: text as it is, numbers, true or false, base64 is made of bytes
//	address.city=Rom  a field of a field, an entry of a map, a variant of a union
//	tag=a tag=b       entries of a list
//	image=@cat.png    what a file contains
//	point:={"x":1}    any JSON
//
// readFile reads a file. Errors name the word and say what would be right.
func Build(s *schema.Schema, ref string, words []string, readFile func(string) ([]byte, error)) ([]byte, error) {
	b := builder{s, readFile}
	var root any = map[string]any{}
	for _, w := range words {
		path, value, ok := strings.Cut(w, "=")
		if !ok {
			return nil, fmt.Errorf("argument %q: want name=value, JSON, @file or -", w)
		}
		path, isJSON := strings.CutSuffix(path, ":")
		if path == "" {
			return nil, fmt.Errorf("argument %q: want the name of a field before the equals sign", w)
		}
		var err error
		if root, err = b.put(root, ref, strings.Split(path, "."), value, isJSON); err != nil {
			return nil, fmt.Errorf("argument %q: %w", w, err)
		}
	}
	return json.Marshal(root)
}

// A builder puts values into a message. Objects are map[string]any, lists []any, and
// everything else json.RawMessage.
type builder struct {
	schema   *schema.Schema
	readFile func(string) ([]byte, error)
}

// put returns node, which is of the type ref or nil, with a value at the path.
func (b builder) put(node any, ref string, path []string, value string, isJSON bool) (any, error) {
	if len(path) > maxDepth {
		return nil, fmt.Errorf("%d levels: want at most %d", len(path), maxDepth)
	}
	r := resolve(b.schema, ref)
	if len(path) == 0 && isJSON {
		if !json.Valid([]byte(value)) {
			return nil, errors.New("what follows := is no JSON: text needs quotes within the quotes of the shell")
		}
		return json.RawMessage(value), nil
	}
	switch r.form {
	case formOptional:
		if len(path) == 0 && value == "null" {
			return json.RawMessage("null"), nil
		}
		return b.put(node, r.elem, path, value, false)
	case formList, formArray:
		return b.element(node, r, path, value)
	case formStruct, formUnion, formMap:
		if len(path) == 0 {
			return b.whole(ref, value)
		}
		return b.member(node, r, ref, path, value, isJSON)
	}
	if len(path) > 0 {
		return nil, fmt.Errorf("the value before .%s is of type %s, which has no parts", path[0], ref)
	}
	return b.scalar(r, ref, value)
}

// whole returns a value with parts that is given at once, as JSON.
func (b builder) whole(ref, value string) (any, error) {
	content, err := b.content(value)
	if err != nil {
		return nil, err
	}
	if !json.Valid(content) {
		return nil, fmt.Errorf("%s has parts: give JSON, or its parts as name.part=value", ref)
	}
	return json.RawMessage(content), nil
}

// member puts a value into a member of an object.
func (b builder) member(node any, r reference, ref string, path []string, value string, isJSON bool) (any, error) {
	m, ok := node.(map[string]any)
	if !ok {
		if node != nil {
			return nil, errors.New("it has been given as a whole before")
		}
		m = map[string]any{}
	}
	elem := r.elem
	if r.form != formMap {
		f, err := r.field(ref, path[0])
		if err != nil {
			return nil, err
		}
		elem = f.Type
	}
	old, have := m[path[0]]
	if r.form == formUnion && len(m) > 0 && !have {
		return nil, fmt.Errorf("%s is one of its variants: another one has been given before", ref)
	}
	if _, isMap := old.(map[string]any); have && !isMap && len(path) == 1 && !b.isList(elem) {
		return nil, errors.New("it has been given before")
	}
	v, err := b.put(old, elem, path[1:], value, isJSON)
	m[path[0]] = v
	return m, err
}

// isList reports whether a value of the type can be given again, to append.
func (b builder) isList(ref string) bool {
	r := resolve(b.schema, strings.TrimPrefix(ref, "?"))
	return r.form == formList || r.form == formArray
}

// element appends a value to a list, or takes a whole list in JSON.
func (b builder) element(node any, r reference, path []string, value string) (any, error) {
	list, ok := node.([]any)
	if !ok && node != nil {
		return nil, errors.New("the list has been given as a whole before")
	}
	if len(path) > 0 {
		return nil, errors.New("parts of the elements of a list cannot be given: give each element as JSON")
	}
	if list == nil && strings.HasPrefix(value, "[") && json.Valid([]byte(value)) {
		return json.RawMessage(value), nil
	}
	v, err := b.put(nil, r.elem, nil, value, false)
	return append(list, v), err
}

// content returns the value, or what the file contains that it names.
func (b builder) content(value string) ([]byte, error) {
	if path, ok := strings.CutPrefix(value, "@"); ok {
		return b.readFile(path)
	}
	return []byte(value), nil
}

// scalar returns a value without parts. Whether it fits the type is checked when the
// message is encoded.
func (b builder) scalar(r reference, ref, value string) (any, error) {
	content, err := b.content(value)
	if err != nil {
		return nil, err
	}
	value = string(content)
	switch r.form {
	case "bytes", "binary":
		return quote(base64.StdEncoding.EncodeToString(content)), nil
	case "bool":
		if value != "true" && value != "false" {
			return nil, fmt.Errorf("%.40q is no bool: want true or false", value)
		}
		return json.RawMessage(value), nil
	case "string", "time", "duration", "text":
		return quote(value), nil
	case "float32", "float64":
		if value == "NaN" || value == "Infinity" || value == "-Infinity" {
			return quote(value), nil
		}
	case "raw", "protobuf":
		if !json.Valid(content) {
			return quote(value), nil
		}
	case formEnum:
		if !json.Valid(content) {
			return quote(value), nil
		}
	}
	if !json.Valid(content) {
		return nil, fmt.Errorf("%.40q is no %s", value, ref)
	}
	return json.RawMessage(content), nil
}

// quote returns a JSON string.
func quote(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always has a JSON form
	}
	return b
}
