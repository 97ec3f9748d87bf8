package protobuf

import (
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// This file, and json.go for the JSON form, keep a message within the budget of
// its decoder. protobuf has no budget of its own, and two bytes can stand for a
// nested message of hundreds: so the form is read once before anything is made
// of it.

// A plan says what the parts of a message cost in memory, beside the bytes of
// its strings.
//
// There is one for each type of message, made when the first value of it comes.
type plan struct {
	desc protoreflect.MessageDescriptor // nil for an entry of a map
	size uintptr                        // of the Go struct
	low  []*field                       // those with a number below 64, by number
	high map[protowire.Number]*field
	name map[string]*field // in JSON
	any  bool              // its JSON form has values that desc does not tell of

	once  sync.Once // see measure
	worst int64
	deep  bool
}

// A field says what each occurrence of it costs, or each element of a packed
// list.
//
// Both forms of a list of numbers are taken, packed or not: the
// specification asks parsers for that.
type field struct {
	cost   uintptr
	list   bool
	packed protowire.Type // of the elements of a list that may be packed, else BytesType
	nested *plan          // of a message or an entry of a map
}

// mapValue is the number of the value in an entry of a map.
const mapValue = 2

// extensionCost is what an extension takes in the map of its message.
const extensionCost = 160

// plans holds what has been made so far.
var plans = struct {
	sync.RWMutex
	of         map[protoreflect.MessageType]*plan
	extensions map[protoreflect.ExtensionType]*field
}{of: map[protoreflect.MessageType]*plan{}, extensions: map[protoreflect.ExtensionType]*field{}}

// planOf returns the plan of messages such as m.
//
// The map is read by every message and written once for each type.
func planOf(m protoreflect.Message) *plan {
	plans.RLock()
	p := plans.of[m.Type()]
	plans.RUnlock()
	if p != nil {
		return p
	}
	plans.Lock()
	defer plans.Unlock()
	return planLocked(m)
}

// planLocked is planOf with plans locked. A plan is in the map before its
// fields are known, since types can be recursive.
func planLocked(m protoreflect.Message) *plan {
	if p := plans.of[m.Type()]; p != nil {
		return p
	}
	p := &plan{desc: m.Descriptor(), size: sizeOf(m), high: map[protowire.Number]*field{}, name: map[string]*field{}}
	// These four hold JSON of any form.
	switch p.desc.FullName() {
	case "google.protobuf.Value", "google.protobuf.ListValue", "google.protobuf.Struct", "google.protobuf.Any":
		p.any = true
	}
	plans.of[m.Type()] = p // before the fields: types may be recursive
	m = m.Type().New()
	for i := range p.desc.Fields().Len() {
		fd := p.desc.Fields().Get(i)
		f := fieldLocked(fd, m.NewField(fd))
		p.add(fd.Number(), f)
		// protojson reads both forms of a name.
		p.name[fd.JSONName()], p.name[fd.TextName()] = f, f
	}
	return p
}

// add adds the field with a number.
func (p *plan) add(num protowire.Number, f *field) {
	// Numbers go up to 2^29: only small ones are indices.
	if num >= 64 {
		p.high[num] = f
		return
	}
	p.low = append(p.low, make([]*field, max(0, int(num)+1-len(p.low)))...)
	p.low[num] = f
}

// sizeOf returns the size of the Go struct of m.
func sizeOf(m protoreflect.Message) uintptr {
	t := reflect.TypeOf(m.Interface())
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Size()
}

// fieldLocked returns what field fd costs; empty is a value of it.
//
// The costs are upper bounds: of a field that is set twice the second value
// takes the place of the first.
func fieldLocked(fd protoreflect.FieldDescriptor, empty protoreflect.Value) *field {
	f := &field{packed: protowire.BytesType}
	switch {
	// An entry is a message with a key and a value on the wire.
	case fd.IsMap():
		// As cbor.MakeMap counts; a message as the value is made for each entry.
		f.cost = 2 * (valueSize(fd.MapKey()) + valueSize(fd.MapValue()) + 1)
		f.nested = &plan{}
		if fd.MapValue().Message() != nil {
			value := planLocked(empty.Map().NewValue().Message())
			f.cost += value.size
			f.nested.add(mapValue, &field{nested: value})
		}
	// A message in a list is a pointer, and what it points to.
	case fd.IsList():
		f.list = true
		f.cost = 2 * valueSize(fd) // a slice that grows has room for twice its elements
		if fd.Message() != nil {
			f.nested = planLocked(empty.List().NewElement().Message())
		} else {
			f.packed = wireType(fd.Kind())
		}
	case fd.Message() != nil:
		f.cost = valueSize(fd) // in case it is a variant of a oneof
		f.nested = planLocked(empty.Message())
	// A scalar that can be absent is a pointer to a value.
	case fd.HasPresence():
		f.cost = max(valueSize(fd), 8)
	}
	if f.nested != nil {
		f.cost += f.nested.size
	}
	return f
}

// valueSize returns the size of a single value of field fd.
//
// Text and bytes count with their headers; what they hold is part of the length
// of the message.
func valueSize(fd protoreflect.FieldDescriptor) uintptr {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return 1
	case protoreflect.StringKind:
		return 16
	case protoreflect.BytesKind:
		return 24
	case protoreflect.EnumKind, protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Uint32Kind,
		protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return 4
	}
	return 8
}

// wireType returns how a value that is no message is sent.
func wireType(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.StringKind, protoreflect.BytesKind:
		return protowire.BytesType
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	}
	return protowire.VarintType
}

// field returns what the field with a number costs, nil if it is unknown. Then
// its bytes are kept, or skipped.
func (p *plan) field(num protowire.Number) *field {
	if p == nil {
		return nil
	}
	var f *field
	// Most fields have small numbers.
	if int(num) < len(p.low) {
		f = p.low[num]
	} else {
		f = p.high[num]
	}
	// An extension is known only if its package is linked.
	if f != nil || p.desc == nil || !p.desc.ExtensionRanges().Has(num) {
		return f
	}
	// The program may know it only when the plan was made already, so that
	// extensions are not part of the plan.
	x, err := protoregistry.GlobalTypes.FindExtensionByNumber(p.desc.FullName(), num)
	if err != nil {
		return nil
	}
	return extension(x)
}

// named returns what the field with a name in JSON costs, nil if it is unknown.
func (p *plan) named(name string) *field {
	if x, ok := strings.CutPrefix(name, "["); ok {
		x, err := protoregistry.GlobalTypes.FindExtensionByName(protoreflect.FullName(strings.TrimSuffix(x, "]")))
		if err != nil {
			return nil
		}
		return extension(x)
	}
	return p.name[name]
}

// extension returns what x costs.
//
// Extensions are looked up in the registry of the program, which can get more
// of them while it runs.
func extension(x protoreflect.ExtensionType) *field {
	plans.RLock()
	f := plans.extensions[x]
	plans.RUnlock()
	if f != nil {
		return f
	}
	plans.Lock()
	defer plans.Unlock()
	f = fieldLocked(x.TypeDescriptor(), x.New())
	f.cost += extensionCost
	plans.extensions[x] = f
	return f
}

// measure returns the most that one part of a message costs, and whether it may
// be of any depth.
//
// It is computed once. A message whose length times the worst cost is within
// the budget needs no look inside.
func (p *plan) measure() (worst int64, deep bool) {
	p.once.Do(func() {
		plans.RLock()
		defer plans.RUnlock()
		done := map[*plan]bool{} // false while it is being visited
		var visit func(*plan)
		visit = func(in *plan) {
			if in == nil {
				return
			}
			// A plan that is being visited contains itself.
			if over, met := done[in]; met {
				p.deep = p.deep || !over
				return
			}
			done[in] = false
			if in.desc != nil && in.desc.ExtensionRanges().Len() > 0 { // some may be unknown yet
				p.worst, p.deep = math.MaxInt32, true
			}
			for _, f := range in.fields() {
				p.worst = max(p.worst, int64(f.cost))
				visit(f.nested)
			}
			done[in] = true
		}
		visit(p)
	})
	return p.worst, p.deep
}

// fields yields the fields that are known.
func (p *plan) fields() (all []*field) {
	for _, f := range p.low {
		if f != nil {
			all = append(all, f)
		}
	}
	return slices.AppendSeq(all, maps.Values(p.high))
}

// chargeAll takes all that a message, whose wire form is b, costs from the
// budget of d.
func (p *plan) chargeAll(d *cbor.Decoder, b []byte) {
	d.Charge(len(b), 1)
	p.charge(d, b, 0, 1)
}

// charge takes what a message costs from the budget of d: b is its wire form,
// or begins with it if it is a group. It returns what follows the group.
//
// It reads the wire form as protobuf does: a number and a type, then the value.
// Unknown fields cost their bytes, which are charged already.
func (p *plan) charge(d *cbor.Decoder, b []byte, group protowire.Number, depth int) (rest []byte) {
	// charge goes as deep as the message does, so that the limit comes
	// first.
	if depth > maxDepth {
		d.Fail(errDepth)
	}
	for len(b) > 0 && d.Err() == nil {
		num, typ, n := protowire.ConsumeTag(b)
		// ConsumeTag has its errors as negative lengths.
		if n < 0 {
			d.Fail(protowire.ParseError(n))
			return nil
		}
		b = b[n:]
		// A group ends with its number.
		if typ == protowire.EndGroupType && num == group {
			return b
		}
		f := p.field(num)
		var nested *plan
		if f != nil {
			nested = f.nested
		}
		// An occurrence is one element, but for a packed list.
		count := 1
		switch typ {
		// A group is a message without a length: it ends with a tag of
		// its own.
		case protowire.StartGroupType:
			b = nested.charge(d, b, num, depth+1)
		case protowire.BytesType:
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				d.Fail(protowire.ParseError(n))
				return nil
			}
			b = b[n:]
			if nested != nil {
				nested.charge(d, v, 0, depth+1)
			} else if f != nil {
				count = f.elements(v)
			}
		default:
			n := protowire.ConsumeFieldValue(num, typ, b)
			if n < 0 {
				d.Fail(protowire.ParseError(n))
				return nil
			}
			b = b[n:]
		}
		if f != nil {
			d.Charge(count, f.cost)
		}
	}
	if group != 0 && d.Err() == nil {
		d.Fail(errShort)
	}
	return nil
}

// elements returns how many values of f there are in v, the bytes of one
// occurrence.
//
// A list that is not packed has one in each occurrence.
func (f *field) elements(v []byte) int {
	switch f.packed {
	// Each varint ends with a byte below 0x80.
	case protowire.VarintType:
		n := 0
		for _, c := range v {
			if c < 0x80 {
				n++
			}
		}
		return n
	case protowire.Fixed32Type:
		return len(v) / 4
	case protowire.Fixed64Type:
		return len(v) / 8
	}
	return 1
}
