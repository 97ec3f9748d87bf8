package gen

import (
	"fmt"
	"go/types"
)

// A serviceWriter writes everything of a service but the codecs.
//
// For a service S it writes, in this order:
//
//	const SName, SMProcedure   // names that are sent
//	var sMSpec                 // what the runtime has to know of each method
//	type SClient               // calls a remote S
//	func RegisterS             // serves an S
//	type UnimplementedS        // to embed
//	type SFuncs                // a fake made of functions
//	var sErrors                // how typed errors travel, if it has any
//	const SDescriptor          // all of it in JSON
type serviceWriter struct {
	*codecWriter
	s       *service
	methods []*methodView
	d       *describer
}

// newServiceWriter returns a writer of s. codecs and d are those of the file,
// which the services of it share.
func newServiceWriter(codecs *codecWriter, d *describer, s *service) *serviceWriter {
	w := &serviceWriter{codecWriter: codecs, s: s, d: d}
	for _, m := range s.methods {
		w.methods = append(w.methods, &methodView{serviceWriter: w, m: m})
	}
	return w
}

// write writes the service. What templates call is an exported method here or on
// methodView.
func (w *serviceWriter) write() {
	w.add(constantsTemplate, w)
	w.add(specsTemplate, w)
	w.client()
	w.add(registerTemplate, w)
	w.add(unimplementedTemplate, w)
	w.add(funcsTemplate, w)
	if w.s.errors != nil {
		w.add(errorUnionTemplate, w)
	}
	w.add(descriptorTemplate, w)
}

// Name is the name of the Go interface.
func (w *serviceWriter) Name() string { return w.s.name }

// Lower is the name in front of variables of the package.
func (w *serviceWriter) Lower() string { return lowerFirst(w.s.name) }

// Wire is the name that is sent.
func (w *serviceWriter) Wire() string { return w.s.wire }

// Methods are the views of the methods.
func (w *serviceWriter) Methods() []*methodView { return w.methods }

// Descriptor is the descriptor in JSON.
func (w *serviceWriter) Descriptor() string { return w.d.descriptor(w.s) }

// constantsTemplate writes the names of the service, and the version of the
// format. That is a use of a constant, so that a module without it does not
// compile the file.
var constantsTemplate = parse(`
// An error here means that this file is not of the format of the rpcnet module:
// run go generate, or update the module if it is the older one.
const _ = {{.Codegen}}.GeneratedV2

// {{.Name}}Name is the wire name of [{{.Name}}].
const {{.Name}}Name = {{quote .Wire}}

// The procedures of [{{.Name}}].
const (
	{{- range .Methods}}
	{{.Procedure}} = {{quote .Path}}
	{{- end}}
)

var {{.Lower}}Schema = {{.Schema}}.Lazy({{.Name}}Descriptor)
`)

// descriptorTemplate writes the descriptor, which is parsed when the first
// message is converted to or from JSON.
var descriptorTemplate = parse(`
// {{.Name}}Descriptor describes [{{.Name}}] and its messages in JSON, for programs
// that do not have the Go types: see package schema.
const {{.Name}}Descriptor = ` + "`{{.Descriptor}}`" + `
`)

// specName is the variable with the specification of a method.
func (s *service) specName(m *method) string { return lowerFirst(s.name) + m.name + "Spec" }

// specsTemplate writes the specifications of the methods: variables that are made
// once, when the program starts.
var specsTemplate = parse(`
var (
	{{- range .Methods}}
	{{.Spec}} = &{{.Codegen}}.Spec{
		Procedure: {{.Procedure}},
		Shape: {{.Codegen}}.Shape{{.Shape}},
		{{- if .Idempotency}}
		Idempotency: {{.Codegen}}.Idempotency{{.Idempotency}},
		{{- end}}
		{{- if .Timeout}}
		Timeout: {{.Timeout.Nanoseconds}}, // {{.Timeout}}
		{{- end}}
		{{- if .HasLimits}}
		Limits: {{.Cbor}}.Limits{Depth: {{.Depth}}, Budget: {{.Budget}}},
		{{- end}}
		{{- if .MaxSize}}
		MaxMessageSize: {{.MaxSize}},
		{{- end}}
		{{- if .Inline}}
		Inline: true,
		{{- end}}
		Request: {{.Request}},
		Response: {{.Response}},
		{{- if .HasErrors}}
		Errors: {{.Lower}}Errors,
		{{- end}}
		{{- if .RouteKey}}
		Route: func(req any) string {
			if req, ok := req.(*{{.RequestType}}); ok && req != nil {
				return {{.RouteKey}}
			}
			return ""
		},
		{{- end}}
		{{- if .Resume}}
		Resume: &{{.Codegen}}.Resume{
			{{- .Resume}}
		},
		{{- end}}
		{{- if .Doc}}
		Doc: {{quote .Doc}},
		{{- end}}
		Descriptor: {{.Name}}Descriptor,
	}
	{{- end}}
)
`)

// codecOf returns the expression of the codec of a message, a codegen.Message.
func (w *serviceWriter) codecOf(m message) string {
	// kind is the function of package stub that makes the codec of two
	// functions.
	codec := func(kind, enc, dec, ref string) string {
		return fmt.Sprintf("%s.%s(%s, %s, %sSchema(%q))", w.Stub(), kind, enc, dec, w.Lower(), ref)
	}
	// A struct and a union have generated functions, a protobuf message its
	// own, and any item the methods of package cbor.
	switch m.kind {
	case structMessage:
		return codec("StructMessage", w.appendFn(m.typ), w.decodeFn(m.typ), w.d.refs.of(m.typ))
	case unionMessage:
		return codec("UnionMessage", w.appendFn(m.typ), w.decodeFn(m.typ), w.d.refs.of(m.typ))
	case protoMessage:
		return fmt.Sprintf("%s.Message[*%s]()", w.Protobuf(), w.typ(m.typ))
	}
	c := w.Cbor()
	return codec("StructMessage", c+".Buffer.AppendRawMessage", "(*"+c+".Decoder).DecodeRawMessage", string(specialRaw))
}

// routeKey returns an expression for the text of a field of req.
func (w *serviceWriter) routeKey(f *field) string {
	x := "req." + f.path
	b := f.typ.Underlying().(*types.Basic)
	switch {
	case b.Info()&types.IsString != 0:
		return "string(" + x + ")"
	// Formatting is a conversion first: the type may have a name.
	case b.Info()&types.IsUnsigned != 0:
		return w.imp("strconv", "strconv") + ".FormatUint(uint64(" + x + "), 10)"
	}
	return w.imp("strconv", "strconv") + ".FormatInt(int64(" + x + "), 10)"
}

// ErrorType, ErrorWire, AppendError and DecodeError are the names of the error
// union and of its functions.
func (w *serviceWriter) ErrorType() string   { return w.s.errors.obj.Name() }
func (w *serviceWriter) ErrorWire() string   { return w.s.errors.wire }
func (w *serviceWriter) AppendError() string { return w.appendFn(w.s.errors.obj.Type()) }
func (w *serviceWriter) DecodeError() string { return w.decodeFn(w.s.errors.obj.Type()) }

// errorUnionTemplate writes how the typed errors of a service travel.
var errorUnionTemplate = parse(`
// {{.Lower}}Errors carries the variants of [{{.ErrorType}}].
var {{.Lower}}Errors = &{{.Codegen}}.ErrorUnion{
	Name: {{quote .ErrorWire}},
	Append: func(b []byte, err error) ([]byte, bool) {
		var u {{.ErrorType}}
		if !{{.Errors}}.As(err, &u) {
			return b, false
		}
		out, err := {{.AppendError}}(b, u)
		if err != nil {
			return b, false
		}
		return out, true
	},
	Decode: func(d *{{.Cbor}}.Decoder) error {
		var u {{.ErrorType}}
		{{.DecodeError}}(d, &u)
		if d.Err() != nil {
			return nil
		}
		return u
	},
}
`)

// registerTemplate writes the function that serves an implementation.
var registerTemplate = parse(`
// Register{{.Name}} serves impl on srv. It panics if srv has one of the
// procedures already.
func Register{{.Name}}(srv *{{.Rpcnet}}.Server, impl {{.Name}}) {
	{{- range .Methods}}
	srv.Register({{.Spec}}, {{.Stub}}.Handle{{.Shape}}(impl.{{.Method}}, {{.NewRequest}}))
	{{- end}}
}
`)

// unimplementedTemplate writes the type that implementations embed.
var unimplementedTemplate = parse(`
// Unimplemented{{.Name}} fails every call with CodeUnimplemented. Embed it to
// keep compiling when the interface grows.
type Unimplemented{{.Name}} struct{}

var _ {{.Name}} = Unimplemented{{.Name}}{}
{{range .Methods}}
// {{.Method}} fails.
func (Unimplemented{{.Name}}) {{.Method}}({{.ParamTypes}}) {{.Results}} {
	{{- if .StreamsResponses}}
	return {{.Stub}}.Fail[{{.ResponseElem}}]({{.Unimplemented}})
	{{- else}}
	return nil, {{.Unimplemented}}
	{{- end}}
}
{{end}}`)

// funcsTemplate writes the fake that is made of functions.
var funcsTemplate = parse(`
// {{.Name}}Funcs implements [{{.Name}}] with functions, for tests. A nil function fails with
// CodeUnimplemented.
type {{.Name}}Funcs struct {
	{{- range .Methods}}
	{{.Method}}Func func({{.ParamTypes}}) {{.Results}}
	{{- end}}
}

var _ {{.Name}} = (*{{.Name}}Funcs)(nil)
{{range .Methods}}
// {{.Method}} calls {{.Method}}Func.
func (f *{{.Name}}Funcs) {{.Method}}({{.Params}}) {{.Results}} {
	if f.{{.Method}}Func == nil {
		return Unimplemented{{.Name}}{}.{{.Method}}({{.Args}})
	}
	return f.{{.Method}}Func({{.Args}})
}
{{end}}`)
