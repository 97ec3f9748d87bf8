package gen

import (
	"bytes"
	"fmt"
	"time"
)

// A methodView is what templates see of a method.
//
// It has the parts of a method as templates use them: names, types, and whole
// expressions. Asking for an expression adds the imports that it needs, so that
// a template asks only for what it writes.
type methodView struct {
	*serviceWriter
	m *method
}

// Method is the Go name; Procedure and Spec are the names of its constant and of
// its specification, Path the value of the constant.
func (v *methodView) Method() string    { return v.m.name }
func (v *methodView) Procedure() string { return v.s.name + v.m.name + "Procedure" }
func (v *methodView) Path() string      { return "/" + v.s.wire + "/" + v.m.wire }
func (v *methodView) Spec() string      { return v.s.specName(v.m) }
func (v *methodView) Doc() string       { return v.m.doc }

// What the directives say; the zero value if they do not.

func (v *methodView) Shape() string          { return v.m.shape() }
func (v *methodView) Idempotency() string    { return v.m.idempotency }
func (v *methodView) Timeout() time.Duration { return v.m.timeout }
func (v *methodView) MaxSize() int64         { return v.m.maxSize }
func (v *methodView) Depth() int64           { return v.m.depth }
func (v *methodView) Budget() int64          { return v.m.budget }
func (v *methodView) HasLimits() bool        { return v.m.depth > 0 || v.m.budget > 0 }
func (v *methodView) Inline() bool           { return v.m.inline }
func (v *methodView) HasErrors() bool        { return v.s.errors != nil }

// RouteKey is an expression for the text of the field of //rpcnet:route.
func (v *methodView) RouteKey() string {
	if v.m.route == nil {
		return ""
	}
	return v.routeKey(v.m.route)
}

// Request and Response are the expressions of the codecs.
func (v *methodView) Request() string  { return v.codecOf(v.m.req) }
func (v *methodView) Response() string { return v.codecOf(v.m.res) }

// RequestType and ResponseType are the types without a pointer, RequestElem and
// ResponseElem those of one message as signatures spell it.
func (v *methodView) RequestType() string  { return v.typ(v.m.req.typ) }
func (v *methodView) ResponseType() string { return v.typ(v.m.res.typ) }
func (v *methodView) RequestElem() string  { return v.elem(v.m.req) }
func (v *methodView) ResponseElem() string { return v.elem(v.m.res) }

// elem is the type of one message: *M for a struct, U for a union.
func (v *methodView) elem(m message) string {
	if m.kind == unionMessage {
		return v.typ(m.typ)
	}
	return "*" + v.typ(m.typ)
}

// NewRequest and NewResponse are the expressions of functions that receive one
// message.
func (v *methodView) NewRequest() string  { return v.newMessage(v.m.req) }
func (v *methodView) NewResponse() string { return v.newMessage(v.m.res) }

// newMessage is the function of package stub that allocates a message and
// receives into it.
func (v *methodView) newMessage(m message) string {
	if m.kind == unionMessage {
		return fmt.Sprintf("%s.NewUnion[%s]", v.Stub(), v.typ(m.typ))
	}
	return fmt.Sprintf("%s.NewPointer[%s]", v.Stub(), v.typ(m.typ))
}

// UnionResponse reports whether the response is a union; StreamsResponses
// whether there are several.
func (v *methodView) UnionResponse() bool    { return v.m.res.kind == unionMessage }
func (v *methodView) StreamsResponses() bool { return v.m.resStream }

// Params, ParamTypes and Args are the parameters with their names, without, and
// the names alone.
//
// For a unary method they are "ctx context.Context, req *Req",
// "context.Context, *Req" and "ctx, req".
func (v *methodView) Params() string {
	return fmt.Sprintf("ctx %s.Context, %s %s", v.Context(), v.Arg(), v.paramType())
}

func (v *methodView) ParamTypes() string {
	return fmt.Sprintf("%s.Context, %s", v.Context(), v.paramType())
}

func (v *methodView) Args() string { return "ctx, " + v.Arg() }

// Arg is the name of the second parameter.
func (v *methodView) Arg() string {
	if v.m.reqStream {
		return "in"
	}
	return "req"
}

// paramType is the type of the second parameter.
func (v *methodView) paramType() string {
	if v.m.reqStream {
		return v.seq(v.RequestElem())
	}
	return v.RequestElem()
}

// Results are the results of the method.
//
// Of a method with one response they are "(*Res, error)", of one with many
// "iter.Seq2[*Res, error]".
func (v *methodView) Results() string {
	if v.m.resStream {
		return v.seq(v.ResponseElem())
	}
	return "(" + v.ResponseElem() + ", error)"
}

// seq writes the type of a sequence of messages.
func (v *methodView) seq(elem string) string {
	return v.imp("iter", "iter") + ".Seq2[" + elem + ", error]"
}

// Unimplemented is the error of a method that is not implemented.
func (v *methodView) Unimplemented() string {
	return fmt.Sprintf("%s.NewError(%[1]s.CodeUnimplemented, %q)", v.Rpcnet(), v.s.wire+"/"+v.m.wire+" is not implemented")
}

// Comment is the comment of the client's method: that of the contract.
func (v *methodView) Comment() string {
	if v.m.doc != "" {
		return comment(v.m.doc)
	}
	return fmt.Sprintf("// %s calls [%s.%s].\n", v.m.name, v.s.name, v.m.name)
}

// Resume is the content of the method's rpcnet.Resume, "" if it is not
// resumable.
func (v *methodView) Resume() string {
	if v.m.resume == nil {
		return ""
	}
	var b bytes.Buffer
	if err := resumeTemplate.Execute(&b, &resumeView{methodView: v, r: v.m.resume}); err != nil {
		panic(err) // a mistake in the template
	}
	return b.String()
}
