package gen

import (
	"go/types"
	"strings"
)

// defaultResumeField is the field of the request if the directive names none.
const defaultResumeField = "ResumeFrom"

// resumable resolves //rpcnet:resumable FIELD [from=FIELD] [accepted=FIELD]: the
// responses are numbered by a field, and a request can say from which number on
// it wants them. It returns nil after an error.
//
// A client that loses its worker in the middle of the responses asks another
// one, with a copy of the request from which the responses that it has are left
// out. For that the generated code has three functions, see resumeTemplate.
func (mc *methodCheck) resumable(d directive) *resume {
	name, from, accepted, ok := mc.resumeFields(d)
	if !ok {
		return nil
	}
	// A single response is complete or missing: the whole call is made
	// again.
	if !mc.m.resStream {
		mc.errorf(d.pos, "%s: //rpcnet:resumable: the responses are not a sequence", mc.full)
		return nil
	}
	// The three fields are resolved one after the other: an error in one
	// leaves nothing to say about the next.
	r := &resume{goName: name}
	if !mc.resumeFrom(r, d, from) || !mc.resumeSequence(r, d) {
		return nil
	}
	if accepted != "" && !mc.resumeAccepted(r, d, accepted) {
		return nil
	}
	return r
}

// resumeFields reads the argument of the directive: the names of three fields.
//
// An example is //rpcnet:resumable Sequence from=After accepted=Tokens.
func (mc *methodCheck) resumeFields(d directive) (name, from, accepted string, ok bool) {
	// The options are taken from the end: what is left must be one name.
	// Anything else, also an option that is misspelt, makes it more than
	// one.
	args := strings.Fields(d.arg)
	named := map[string]string{"from": defaultResumeField, "accepted": ""}
	for ; len(args) > 1; args = args[:len(args)-1] {
		key, field, ok := strings.Cut(args[len(args)-1], "=")
		if _, known := named[key]; !ok || !known || field == "" {
			break
		}
		named[key] = field
	}
	if len(args) != 1 {
		mc.errorf(d.pos, "//rpcnet:resumable needs the name of a field of the responses; then from=FIELD if that of the request is not %s, and accepted=FIELD if a field of the request is to hold the responses so far", defaultResumeField)
		return "", "", "", false
	}
	return args[0], named["from"], named["accepted"], true
}

// resumeFrom resolves the field of the request.
//
// The default name is ResumeFrom, so that most contracts need no option.
func (mc *methodCheck) resumeFrom(r *resume, d directive, from string) bool {
	req := mc.m.req
	// Of a union only one variant could have the field.
	if req.kind != structMessage {
		mc.errorf(d.pos, "%s: //rpcnet:resumable: the request %s cannot say where to resume: it has no field %s", mc.full, mc.str(req.typ), from)
		return false
	}
	// Any name will do for the field, if the directive says it.
	if r.from = mc.fieldOf(req.typ, from); r.from == nil {
		mc.errorf(d.pos, "%s: //rpcnet:resumable: the request %s needs a field %s uint64, from which to resume%s", mc.full, mc.str(req.typ), from, mc.fieldHint(from, req.typ))
		return false
	}
	if !isUnsigned(r.from.typ) {
		mc.errorf(d.pos, "%s: //rpcnet:resumable: field %s.%s must be an unsigned integer, got %s", mc.full, mc.str(req.typ), from, mc.str(r.from.typ))
		return false
	}
	return true
}

// resumeSequence resolves the field of the responses. Of a union, at least one
// variant has it; the others have no number, and are not sent again.
func (mc *methodCheck) resumeSequence(r *resume, d directive) bool {
	name, res := r.goName, mc.m.res
	// Numbers go up from any start, so that 0 can stand for "from the
	// beginning".
	unsigned := func(f *field, owner string) bool {
		if !isUnsigned(f.typ) {
			mc.errorf(d.pos, "%s: //rpcnet:resumable %s: field %s.%s must be an unsigned integer, got %s", mc.full, name, owner, name, mc.str(f.typ))
		}
		return isUnsigned(f.typ)
	}
	switch res.kind {
	case structMessage:
		if r.seq = mc.fieldOf(res.typ, name); r.seq == nil {
			mc.errorf(d.pos, "%s: //rpcnet:resumable %s: no such field in %s%s", mc.full, name, mc.str(res.typ), mc.fieldHint(name, res.typ))
			return false
		}
		return unsigned(r.seq, mc.str(res.typ))
	case unionMessage:
		// A variant without the field, such as a notice, is not
		// counted.
		for _, v := range res.union.variants {
			f := mc.fieldOf(v.obj.Type(), name)
			if f == nil {
				continue
			}
			if !unsigned(f, v.obj.Name()) {
				return false
			}
			r.sequence = append(r.sequence, v)
		}
		if len(r.sequence) == 0 {
			mc.errorf(d.pos, "%s: //rpcnet:resumable %s: no variant of %s has such a field", mc.full, name, mc.str(res.typ))
			return false
		}
		return true
	}
	mc.errorf(d.pos, "%s: //rpcnet:resumable %s: the response %s has no fields", mc.full, name, mc.str(res.typ))
	return false
}

// resumeAccepted resolves accepted=FIELD: a slice of the responses, or of one
// variant of them, by value or by pointer.
func (mc *methodCheck) resumeAccepted(r *resume, d directive, name string) bool {
	req, res := mc.m.req, mc.m.res
	if r.accepted = mc.fieldOf(req.typ, name); r.accepted == nil {
		mc.errorf(d.pos, "%s: //rpcnet:resumable accepted=%s: the request %s has no such field%s", mc.full, name, mc.str(req.typ), mc.fieldHint(name, req.typ))
		return false
	}
	if list, ok := r.accepted.typ.Underlying().(*types.Slice); ok {
		// A list of the responses themselves, for a union that is a
		// list of the interface.
		elem := list.Elem()
		if types.Identical(elem, res.typ) {
			return true
		}
		if ptr, ok := elem.(*types.Pointer); ok {
			elem, r.acceptedPtr = ptr.Elem(), true
		}
		if res.kind == structMessage && types.Identical(elem, res.typ) {
			return true
		}
		// Only variants with a number are kept: others were not
		// confirmed by one.
		for _, v := range r.sequence {
			if types.Identical(elem, v.obj.Type()) {
				r.acceptedVariant = v
				return true
			}
		}
	}
	// The error has the types that would be right.
	want := "[]" + mc.str(res.typ)
	if len(r.sequence) > 0 {
		want += " or a list of a variant that has " + r.goName
	}
	mc.errorf(d.pos, "%s: //rpcnet:resumable accepted=%s: field %s.%s holds the responses so far: want %s, got %s",
		mc.full, name, mc.str(req.typ), name, want, mc.str(r.accepted.typ))
	return false
}
