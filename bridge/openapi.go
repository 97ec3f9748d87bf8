package bridge

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/rpcnet-go/rpcnet/codegen/schema"
	"github.com/rpcnet-go/rpcnet/internal/version"
)

// An object is one of JSON.
type object = map[string]any

// openAPI serves a description of all methods that can be called,
// as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1).
func (c *catalog) openAPI(w *reply, r *http.Request) {
	if err := c.load(r.Context()); err != nil && len(c.table.Load().services) == 0 {
		w.fail(0, err, nil)
		return
	}
	// Types have the names of their services in front: two
	// contracts can have a Request.
	t := c.table.Load()
	paths, schemas := object{}, object{"rpcnet.Error": errorSchema}
	for _, s := range t.sorted() {
		d := describer{service: s, schemas: schemas, int64Strings: c.cfg.Int64Strings}
		for name := range s.Types {
			schemas[d.name(name)] = d.named(s.Types[name])
		}
		for _, m := range s.Methods {
			path := "/" + s.Service + "/" + m.Name
			paths[path] = d.path(t.methods[path])
		}
	}
	text, err := json.Marshal(object{
		"openapi": "3.1.0",
		"info":    object{"title": "Services of rpcnet", "version": version.Library},
		"paths":   paths,
		"components": object{
			"schemas":         schemas,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}, "certificate": object{"type": "mutualTLS"}},
		},
		"security": []object{{"token": []string{}}, {"certificate": []string{}}},
	})
	if err != nil {
		w.fail(0, err, nil)
		return
	}
	w.answer(text)
}

// errorSchema is the schema of a failure.
var errorSchema = object{
	"type": "object", "required": []string{"code"},
	"properties": object{
		"code": object{"type": "string"}, "message": object{"type": "string"},
		"details": object{"type": "array", "items": object{
			"type":       "object",
			"properties": object{"type": object{"type": "string"}, "value": object{"type": "string", "contentEncoding": "base64"}, "debug": object{}},
		}},
	},
}

// A describer turns the descriptor of one service into schemas of
// JSON. They are what package schema writes and reads: fields can
// be left out, so that none is required.
type describer struct {
	service      *schema.Schema
	schemas      object
	int64Strings bool
}

// name returns the name of a type among the schemas, of the
// characters that OpenAPI allows.
func (d describer) name(ref string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '_'
	}, d.service.Service+"."+ref)
}

// path describes a method.
func (d describer) path(m *method) object {
	media := func(schema object) object { return object{"schema": schema} }
	request, response := d.ref(m.facts.Request), d.ref(m.facts.Response)
	in := object{"application/json": media(request)}
	if m.spec.Shape.ClientStreams() {
		in["application/x-ndjson"] = media(request)
	}
	// OpenAPI has no word for a sequence of messages: the schema
	// is that of one.
	out := object{"application/json": media(response)}
	if m.spec.Shape.ServerStreams() {
		out = object{"application/x-ndjson": media(response), "text/event-stream": media(object{"type": "string"})}
	}
	operation := func(id string) object {
		o := object{
			"operationId": id, "tags": []string{d.service.Service},
			"responses": object{
				"200":     object{"description": "The response, or the responses of a stream.", "content": out},
				"default": object{"description": "An error.", "content": object{"application/json": media(object{"$ref": "#/components/schemas/rpcnet.Error"})}},
			},
		}
		if m.facts.Doc != "" {
			o["description"] = m.facts.Doc
		}
		return o
	}
	// Generators of clients make names of these, which must
	// differ.
	id := d.service.Service + "." + m.facts.Name
	post := operation(id)
	post["requestBody"] = object{"required": true, "content": in}
	item := object{"post": post}
	// The message of a GET stands in the URL.
	if allowedMethods(m) != "POST" {
		get := operation(id + ".get")
		get["parameters"] = []object{
			{"name": "encoding", "in": "query", "required": true, "schema": object{"const": "json"}},
			{"name": "message", "in": "query", "content": object{"application/json": media(request)}},
		}
		item["get"] = get
	}
	return item
}

// named describes a type that has a name.
func (d describer) named(t *schema.Type) object {
	o := object{}
	switch t.Kind {
	case "struct":
		properties := object{}
		for _, f := range t.Fields {
			properties[f.Name] = d.field(f)
		}
		o = object{"type": "object", "properties": properties}
	case "union": // an object with exactly one member
		var variants []object
		for _, v := range t.Variants {
			variants = append(variants, object{"type": "object", "required": []string{v.Name}, "properties": object{v.Name: d.field(v)}})
		}
		o = object{"oneOf": variants}
	// A name, or the number of a value that the contract does not
	// have.
	case "enum":
		var names []string
		for _, v := range t.Values {
			names = append(names, v.Name)
			if t.Base == "string" {
				names[len(names)-1] = v.Value
			}
		}
		o = object{"anyOf": []object{{"type": "string", "enum": names}, d.ref(t.Base)}}
	}
	if t.Doc != "" {
		o["description"] = t.Doc
	}
	return o
}

// field describes a field or a variant.
func (d describer) field(f schema.Field) object {
	o := d.ref(f.Type)
	if f.Doc != "" {
		o["description"] = f.Doc
	}
	return o
}

// ref describes what a reference stands for. The result is the
// caller's.
func (d describer) ref(ref string) object {
	if d.service.Types[ref] != nil {
		return object{"$ref": "#/components/schemas/" + d.name(ref)}
	}
	// The forms are those that package schema writes.
	switch {
	case ref == "bool":
		return object{"type": "boolean"}
	case ref == "string" || ref == "text" || ref == "duration":
		return object{"type": "string"}
	case ref == "bytes" || ref == "binary":
		return object{"type": "string", "contentEncoding": "base64"}
	case ref == "time":
		return object{"type": "string", "format": "date-time"}
	case ref == "float32" || ref == "float64":
		return object{"anyOf": []object{{"type": "number"}, {"enum": []string{"NaN", "Infinity", "-Infinity"}}}}
	case strings.HasPrefix(ref, "int") || strings.HasPrefix(ref, "uint"):
		return d.integer(ref)
	case strings.HasPrefix(ref, "?"):
		return object{"anyOf": []object{d.ref(ref[1:]), {"type": "null"}}}
	case strings.HasPrefix(ref, "map["):
		_, value, _ := strings.Cut(ref, "]")
		return object{"type": "object", "additionalProperties": d.ref(value)}
	case strings.HasPrefix(ref, "[]"):
		return object{"type": "array", "items": d.ref(ref[2:])}
	case strings.HasPrefix(ref, "["):
		size, elem, _ := strings.Cut(ref[1:], "]")
		if elem == "byte" {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		n, _ := strconv.Atoi(size) // the descriptor has been parsed
		return object{"type": "array", "items": d.ref(elem), "minItems": n, "maxItems": n}
	}
	return object{} // raw and protobuf: anything
}

// integer describes an integer. The formats are those of
// OpenAPI's registry, which has none for unsigned ones. With
// Int64Strings one of 64 bits is a string or a number.
func (d describer) integer(ref string) object {
	o := object{"type": "integer"}
	switch ref {
	case "int32":
		o["format"] = "int32"
	case "int64", "int":
		o["format"] = "int64"
	}
	if strings.HasPrefix(ref, "uint") {
		o["minimum"] = 0
	}
	// int and uint have 64 bits on the wire.
	wide := ref == "int" || ref == "uint" || ref == "int64" || ref == "uint64"
	if wide && d.int64Strings {
		return object{"anyOf": []object{{"type": "string"}, o}}
	}
	return o
}
