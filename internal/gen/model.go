package gen

import (
	"go/token"
	"go/types"
	"time"
)

// This file is the model: what a checker has found in the sources, and an
// emitter writes. Everything in it is valid, so that the emitter reports
// nothing. Fields are not changed after the check.

// A service is a marked interface.
type service struct {
	name string // the Go interface
	wire string // package.Service
	doc  string
	file string
	pos  token.Pos
	// methods are in the order of the source, which the descriptor keeps.
	methods []*method
	// errors is the union of the service's typed errors, nil if it has
	// none.
	errors *union
}

// A method is one procedure.
//
// It has a name in Go, name, and one that is sent, wire.
type method struct {
	name, wire string
	doc        string
	pos        token.Pos
	reqStream  bool
	resStream  bool
	req, res   message

	// What the directives say. The zero value means that none does.
	idempotency string // "", "Idempotent", "NoSideEffects"
	timeout     time.Duration
	maxSize     int64
	depth       int64
	budget      int64
	inline      bool
	route       *field // of the first request
	resume      *resume
}

// shape returns the shape as the generated code and the descriptor call it.
func (m *method) shape() string {
	switch {
	case m.reqStream && m.resStream:
		return "Bidi"
	case m.reqStream:
		return "ClientStream"
	case m.resStream:
		return "ServerStream"
	}
	return "Unary"
}

// A message is what a method takes or gives.
//
// Of a sequence it is one element.
type message struct {
	typ   types.Type // without the pointer
	kind  messageKind
	union *union // for unionMessage of this package
}

// A messageKind is the way in which a message is encoded.
type messageKind int

const (
	structMessage messageKind = iota // *T
	unionMessage                     // U
	protoMessage                     // *T, a proto.Message
	rawMessage                       // *cbor.Raw
)

// The following types are parts of the above.

// A resume says how //rpcnet:resumable is done.
type resume struct {
	goName string // the field of the responses
	// sequence is, for a union, the variants that have the field.
	sequence []*variant
	from     *field // of the first request
	seq      *field // of a struct response
	// accepted, if not nil, is a list in the first request of the responses so
	// far, of one variant of them, or of pointers to either.
	accepted        *field
	acceptedVariant *variant
	acceptedPtr     bool
}

// A union is a sealed interface with its variants.
type union struct {
	obj     *types.TypeName
	wire    string // the name, for error unions
	isError bool
	foreign bool // declared in another package
	doc     string
	file    string
	pos     token.Pos
	// In the order of the source.
	variants []*variant
}

// A variant is a struct that implements a union.
//
// Its name on the wire is that of the type in snake_case without the union's
// name in front, or that of its directive.
type variant struct {
	wire string
	obj  *types.TypeName
	ptr  bool // only *T implements
	pos  token.Pos
}

// A field is one entry of a struct on the wire.
//
// A field of an embedded struct is a field of the struct around it: its path
// has two names or more.
type field struct {
	path   string // Go selector below the struct, "Base.Name"
	name   string // wire name
	typ    types.Type
	key    int // wire number; 0: the name is the key
	max    int // 0: no limit
	packed bool
	omit   bool
	pos    token.Pos
	local  bool // declared in the package at hand
	obj    *types.Var
}
