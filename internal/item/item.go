// Package item has the kinds of items of CBOR (RFC 8949, section 3), which the decoder and
// the package that makes JSON of them share.
package item

// A Kind is the kind of an item. The first byte of an item tells it.
type Kind uint8

// The kinds. The major types of RFC 8949 come first, in its order. None is the end of the
// input, and Other a simple value without a meaning.
const (
	None  Kind = iota // no input left
	Uint              // unsigned integer
	Nint              // negative integer
	Bytes             // byte string
	Text              // text
	Array             // array
	Map               // map
	Tag               // tag with its item
	Bool              // boolean
	Float             // float
	Nil               // null or undefined
	Other             // another simple value
)

// String returns the kind's name as error messages use it, such as "byte string". A
// number that is no kind has the name of Other.
func (k Kind) String() string {
	return [...]string{"nothing", "unsigned integer", "negative integer", "byte string", "text", "array", "map",
		"tag", "boolean", "float", "null", "simple value"}[min(k, Other)]
}
