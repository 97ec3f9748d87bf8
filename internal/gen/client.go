package gen

import "text/template"

// client writes the client of a service.
//
// It implements the interface of the contract, so that it can stand wherever
// the service itself can: in a test, in a proxy, in front of another client. A
// method with a stream has a second form with a handle, for talk that does not
// fit two loops.
func (w *serviceWriter) client() {
	w.add(clientTemplate, w)
	for _, m := range w.methods {
		w.add(clientMethods[m.Shape()], m)
	}
}

// clientTemplate writes the type and its constructor.
var clientTemplate = parse(`
// {{.Name}}Client calls a remote [{{.Name}}] and implements it. It is safe for concurrent
// use.
type {{.Name}}Client struct{ c *{{.Rpcnet}}.Client }

var _ {{.Name}} = (*{{.Name}}Client)(nil)

// New{{.Name}}Client returns a client that makes its calls over t. It uses a
// [rpcnet.Client] as it is, with its interceptors and defaults.
func New{{.Name}}Client(t {{.Rpcnet}}.Transport) *{{.Name}}Client {
	return &{{.Name}}Client{ {{- .Rpcnet}}.NewClient(t, nil)}
}
`)

// clientMethods are the templates of a client's methods, by their shape.
//
// Unary and client-streaming methods return a response, the two others a
// sequence that makes the call when it is ranged over.
var clientMethods = map[string]*template.Template{
	"Unary": parse(methodHead + `{
	{{- template "response" .}}
	if err := c.c.Unary(ctx, {{.Spec}}, req, {{template "target" .}}); err != nil {
		return nil, err
	}
	return res, nil
}
` + responseParts),

	"ClientStream": parse(methodHead + `{
	{{- template "response" .}}
	if err := {{.Stub}}.CallClientStream(ctx, c.c, {{.Spec}}, in, {{template "target" .}}); err != nil {
		return nil, err
	}
	return res, nil
}
` + streamHead + `(ctx {{.Context}}.Context) (*{{.Stub}}.ClientStreamCall[{{.RequestElem}}, {{.ResponseElem}}], error) {
	return {{.Stub}}.OpenClientStream[{{.RequestElem}}](ctx, c.c, {{.Spec}}, {{.NewResponse}})
}
` + responseParts),

	"ServerStream": parse(methodHead + `{
	return {{.Stub}}.CallServerStream(ctx, c.c, {{.Spec}}, req, {{.NewResponse}})
}
` + streamHead + `(ctx {{.Context}}.Context, req {{.RequestElem}}) (*{{.Stub}}.ServerStreamCall[{{.ResponseElem}}], error) {
	return {{.Stub}}.OpenServerStream(ctx, c.c, {{.Spec}}, req, {{.NewResponse}})
}
`),

	"Bidi": parse(methodHead + `{
	return {{.Stub}}.CallBidi(ctx, c.c, {{.Spec}}, in, {{.NewResponse}})
}
` + streamHead + `(ctx {{.Context}}.Context) (*{{.Stub}}.BidiCall[{{.RequestElem}}, {{.ResponseElem}}], error) {
	return {{.Stub}}.OpenBidi[{{.RequestElem}}](ctx, c.c, {{.Spec}}, {{.NewResponse}})
}
`),
}

// methodHead begins a method of the contract, streamHead the one that gives a
// handle on its stream.
const (
	methodHead = `
{{.Comment}}func (c *{{.Name}}Client) {{.Method}}({{.Params}}) {{.Results}} `

	streamHead = `
// {{.Method}}Stream is [{{.Name}}Client.{{.Method}}] with an explicit handle. Close it when
// done.
func (c *{{.Name}}Client) {{.Method}}Stream`
)

// responseParts declare the response and say into what it is decoded: a struct
// is allocated, a union is an interface.
const responseParts = `
{{- define "response"}}
	{{- if .UnionResponse}}
	var res {{.ResponseType}}
	{{- else}}
	res := new({{.ResponseType}})
	{{- end}}
{{- end}}
{{- define "target"}}{{if .UnionResponse}}&{{end}}res{{end}}`
