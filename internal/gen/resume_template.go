package gen

// A resumeView is what resumeTemplate sees of a resumable method.
//
// Of the methods with a union as their response, only the variants that have
// the field are numbered.
type resumeView struct {
	*methodView
	r *resume
}

// SequenceField is the field of a struct response with its number; Variants are
// the variants of a union that have one. One of the two is set.
func (v *resumeView) SequenceField() string {
	if v.r.seq == nil {
		return ""
	}
	return v.r.seq.path
}

func (v *resumeView) Variants() (out []variantView) {
	for _, x := range v.r.sequence {
		out = append(out, variantView{v.typ(x.obj.Type()), v.c.fieldOf(x.obj.Type(), v.r.goName).path, !x.ptr})
	}
	return out
}

// A variantView is a variant as its type, and with a field.
//
// Generated switches have a case for *T, and one for T if a T is a variant
// itself.
type variantView struct {
	Type, Field string
	ByValue     bool // T implements the union, and not only *T
}

// FromField and FromType are those of the request's field from which to resume.
//
// The number is converted: the field can be of any unsigned type.
func (v *resumeView) FromField() string { return v.r.from.path }
func (v *resumeView) FromType() string  { return v.typ(v.r.from.typ) }

// AcceptedField is the field of the request with the responses so far, "" if
// there is none. Its elements are of AcceptedVariant if that is not nil.
func (v *resumeView) AcceptedField() string {
	if v.r.accepted == nil {
		return ""
	}
	return v.r.accepted.path
}

func (v *resumeView) AcceptedVariant() *variantView {
	if v.r.acceptedVariant == nil {
		return nil
	}
	return &variantView{Type: v.typ(v.r.acceptedVariant.obj.Type()), ByValue: !v.r.acceptedVariant.ptr}
}

// Keep is what appends a response, the expression kept, to the field.
//
// It is the argument of the template "keep".
func (v *resumeView) Keep(kept string) keepView {
	return keepView{v.AcceptedField(), kept, v.r.acceptedPtr}
}

// A keepView is a response that is appended to a field, as a pointer or a value.
//
// The address of a variable of the loop would be that of the next response as
// well, so that a pointer is taken of a copy.
type keepView struct {
	Field, Value string
	Pointers     bool
}

// resumeTemplate writes the functions of a rpcnet.Resume. A response may come as
// a pointer to the union, which is what a client receives into, or as a variant.
//
// Sequence returns the number of a response, From a copy of the request that asks
// for what comes after a number, Next the number that a request asks for, and Accepted adds a response to the request that
// it is given.
var resumeTemplate = parse(`
	Sequence: func(res any) uint64 {
		{{- if .SequenceField}}
		if res, ok := res.(*{{.ResponseType}}); ok && res != nil {
			return uint64(res.{{.SequenceField}})
		}
		{{- else}}
		if u, ok := res.(*{{.ResponseType}}); ok && u != nil {
			res = *u
		}
		switch res := res.(type) {
		{{- range .Variants}}
		case *{{.Type}}:
			if res != nil {
				return uint64(res.{{.Field}})
			}
		{{- if .ByValue}}
		case {{.Type}}:
			return uint64(res.{{.Field}})
		{{- end}}
		{{- end}}
		}
		{{- end}}
		return 0
	},
	From: func(req any, next uint64) any {
		old, ok := req.(*{{.RequestType}})
		if !ok || old == nil {
			return req
		}
		from := *old
		from.{{.FromField}} = {{.FromType}}(next)
		return &from
	},
	Next: func(req any) uint64 {
		if req, ok := req.(*{{.RequestType}}); ok && req != nil {
			return uint64(req.{{.FromField}})
		}
		return 0
	},
	{{- if .AcceptedField}}
	Accepted: func(req, res any) any {
		old, ok := req.(*{{.RequestType}})
		if !ok || old == nil {
			return req
		}
		{{- if .SequenceField}}
		if res, ok := res.(*{{.ResponseType}}); ok && res != nil {
			{{- template "keep" (.Keep "*res")}}
		}
		{{- else if .AcceptedVariant}}
		u, ok := res.(*{{.ResponseType}})
		if !ok || u == nil {
			return req
		}
		switch res := (*u).(type) {
		case *{{.AcceptedVariant.Type}}:
			if res != nil {
				{{- template "keep" (.Keep "*res")}}
			}
		{{- if .AcceptedVariant.ByValue}}
		case {{.AcceptedVariant.Type}}:
			{{- template "keep" (.Keep "res")}}
		{{- end}}
		}
		{{- else}}
		if u, ok := res.(*{{.ResponseType}}); ok && u != nil {
			{{- template "keep" (.Keep "*u")}}
		}
		{{- end}}
		return req
	},
	{{- end}}
{{- define "keep"}}
	{{- if .Pointers}}
	kept := {{.Value}}
	old.{{.Field}} = append(old.{{.Field}}, &kept)
	{{- else}}
	old.{{.Field}} = append(old.{{.Field}}, {{.Value}})
	{{- end}}
{{- end}}`)
