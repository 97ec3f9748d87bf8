package schema_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

const descriptor = `{"version":1,"service":"greeting.v1.Greeting",
"methods":[{"name":"Hello","shape":"unary","request":"HelloRequest","response":"HelloResponse"}],
"types":{
"HelloRequest":{"kind":"struct","fields":[{"name":"name","type":"string","max":20},{"name":"times","type":"int"},{"name":"friends","type":"[]HelloRequest"}]},
"HelloResponse":{"kind":"struct","fields":[{"name":"text","type":"string","key":1},{"name":"scores","type":"[]float32","key":2,"packed":true}]}}}`

func Example() {
	s, err := schema.Parse(descriptor)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := s.Message("HelloRequest")
	if err != nil {
		fmt.Println(err)
		return
	}
	cbor, err := m.AppendCBOR(nil, []byte(`{"times": 2, "name": "Ada"}`))
	fmt.Printf("%x %v\n", cbor, err)
	json, err := m.AppendJSON(nil, cbor)
	fmt.Printf("%s %v\n", json, err)

	_, err = m.AppendCBOR(nil, []byte(`{"nmae": "Ada"}`))
	fmt.Println(err)
	_, err = m.AppendCBOR(nil, []byte(`{"friends": [{}, {"times": 1.5}]}`))
	fmt.Println(err)
	// Output:
	// a2646e616d65634164616574696d657302 <nil>
	// {"name":"Ada","times":2} <nil>
	// HelloRequest: no field "nmae"; it has name, times, friends
	// HelloRequest.friends[1].times: want int, got 1.5
}

func TestNumberedAndPackedFieldsHaveNamesInJSON(t *testing.T) {
	t.Parallel()
	s, err := schema.Parse(descriptor)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Message("HelloResponse")
	if err != nil {
		t.Fatal(err)
	}
	in := `{"text":"x","scores":[1,"NaN",-0.5]}`
	cbor, err := m.AppendCBOR(nil, []byte(in))
	if want := "\xa2\x01\x61x\x02\xd8\x55\x4c\x00\x00\x80\x3f\x00\x00\xc0\x7f\x00\x00\x00\xbf"; err != nil || string(cbor) != want {
		t.Errorf("%x, %v; want %x", cbor, err, want)
	}
	if j, err := m.AppendJSON(nil, cbor); err != nil || string(j) != in {
		t.Errorf("%s, %v", j, err)
	}
	if j, err := new(schema.Message).AppendJSON(nil, cbor); err != nil || string(j) != `{"1":"x","2":[1,"NaN",-0.5]}` {
		t.Errorf("without descriptor: %s, %v", j, err)
	}
}

func TestWrongDescriptorsAreErrors(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		``:                               "unexpected end",
		`{"version":2}`:                  "descriptor of version 2",
		`{"version":1,"methods":[null]}`: "a method is null",
		`{"version":1,"methods":[{"request":"X"}]}`:                                                                             `no type "X"`,
		`{"version":1,"types":{"T":{"kind":"tuple"}}}`:                                                                          `type T has kind "tuple"`,
		`{"version":1,"types":{"T":{"kind":"enum","base":"X"}}}`:                                                                `enum T: no type "X"`,
		`{"version":1,"types":{"T":{"kind":"struct","fields":[{"name":"a","type":"[]"}]}}}`:                                     `T.a: no type ""`,
		`{"version":1,"types":{"T":{"kind":"struct","fields":[{"name":"a","type":"[x]int"}]}}}`:                                 `bad length`,
		`{"version":1,"types":{"T":{"kind":"struct","fields":[{"name":"a","type":"map[bool]int"}]}}}`:                           `the key must be text or an integer`,
		`{"version":1,"types":{"T":{"kind":"struct","fields":[{"name":"a","type":"` + strings.Repeat("[]", 10000) + `int"}]}}}`: `nests too deep`,
		packed(`int`):       `T.a: packed wants a list of numbers, got int`,
		packed(`?[]int64`):  `T.a: packed wants a list of numbers, got ?[]int64`,
		packed(`[]bool`):    `T.a: packed wants a list of numbers, got []bool`,
		packed(`[]uint8`):   `T.a: packed wants a list of numbers, got []uint8`,
		packed(`[2]int64`):  `T.a: packed wants a list of numbers, got [2]int64`,
		packed(`[]?int64`):  `T.a: packed wants a list of numbers, got []?int64`,
		packed(`[][]int64`): `T.a: packed wants a list of numbers, got [][]int64`,
		packed(`[]T`):       `T.a: packed wants a list of numbers, got []T`,
		packed(`raw`):       `T.a: packed wants a list of numbers, got raw`,
	} {
		if _, err := schema.Parse(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: %v, want %s", in, err, want)
		}
	}
	if _, err := schema.Lazy("nonsense")("X").AppendJSON(nil, nil); err == nil {
		t.Error("a lazy schema of nonsense worked")
	}
}

// packed is a descriptor with a packed field.
func packed(typ string) string {
	return `{"version":1,"types":{"T":{"kind":"struct","fields":[{"name":"a","type":"` + typ + `","packed":true}]}}}`
}

// TestTypeThatFailedLeavesNothingBehind takes a schema that Parse has not
// checked: what refers to a type that cannot be resolved must go on failing.
func TestTypeThatFailedLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := &schema.Schema{Types: map[string]*schema.Type{"T": {Kind: "struct", Fields: []schema.Field{{Name: "a", Type: "?[]T"}, {Name: "b", Type: "Nope"}}}}}
	for _, ref := range []string{"[]T", "?[]T"} {
		if _, err := s.Message(ref); err == nil || !strings.Contains(err.Error(), `no type "Nope"`) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

// FuzzParse takes any descriptor, and any JSON, or CBOR, for its types.
func FuzzParse(f *testing.F) {
	f.Add(descriptor, `{"text":"x","scores":[1]}`)
	f.Add(`{"version":1,"types":{"T":{"kind":"union","variants":[{"name":"a","type":"?T"}]},"U":{"kind":"enum","base":"string"}}}`, `{"a":{"a":null}}`)
	for _, typ := range []string{"int", "[]bool", "[]?int", "?[]int", "[]T", "bytes"} {
		f.Add(packed(typ), `{"a":1}`)
		f.Add(packed(typ), `{"a":[1]}`)
	}
	f.Add(packed("[]duration"), `{"a":["1s"]}`)
	f.Add(descriptor, "\xa2\x01\x61x\x64text\x61y")
	f.Add(packed("[]duration"), "\xa1\x61a\xd8\x4f\x48\x00\x00\x00\x00\x00\x00\x00\x80")
	f.Fuzz(func(t *testing.T, descriptor, in string) {
		s, err := schema.Parse(descriptor)
		if err != nil {
			return
		}
		for name := range s.Types {
			m, err := s.Message(name)
			if err != nil {
				t.Fatal(err)
			}
			if j, err := m.AppendJSON(nil, []byte(in)); err == nil && !json.Valid(j) {
				t.Fatalf("%s: %x -> %s", name, in, j)
			}
			b, err := m.AppendCBOR(nil, []byte(in))
			if err != nil {
				continue
			}
			if _, err := m.AppendJSON(nil, b); err != nil {
				t.Fatalf("%s: %s -> %x: %v", name, in, b, err)
			}
		}
	})
}

// chain is a descriptor of n structs, each with a pointer to the next.
func chain(n int, kind string) string {
	var b strings.Builder
	b.WriteString(`{"version":1,"methods":[{"name":"M","request":"T0","response":"T0"}],"types":{`)
	list := "fields"
	if kind == "union" {
		list = "variants"
	}
	for i := range n - 1 {
		fmt.Fprintf(&b, `"T%d":{"kind":%q,%q:[{"name":"next","type":"?T%d"}]},`, i, kind, list, i+1)
	}
	fmt.Fprintf(&b, `"T%d":{"kind":%q,%q:[{"name":"x","type":"int"}]}}}`, n-1, kind, list)
	return b.String()
}

// Types may lead to one another however far: only a single reference has a
// limit, and only a value one of its own.
func TestFieldTypesNestHoweverDeep(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"struct", "union"} {
		for _, n := range []int{33, 65, 10_000} {
			s, err := schema.Parse(chain(n, kind))
			if err != nil {
				t.Errorf("%d types of kind %s: %v", n, kind, err)
				continue
			}
			m, err := s.Message(fmt.Sprintf("T%d", n-3))
			if err != nil {
				t.Fatal(err)
			}
			in := `{"next":{"next":{"x":7}}}`
			cbor, err := m.AppendCBOR(nil, []byte(in))
			if err != nil {
				t.Fatal(err)
			}
			if out, err := m.AppendJSON(nil, cbor); err != nil || string(out) != in {
				t.Errorf("%d types of kind %s: %s, %v, want %s", n, kind, out, err, in)
			}
		}
	}
}

// A type that is missing at the end of a chain is told, and asking again too.
func TestAMissingTypeFarAwayIsAnError(t *testing.T) {
	t.Parallel()
	_, err := schema.Parse(strings.Replace(chain(100, "struct"), `"type":"int"`, `"type":"[]Gone"`, 1))
	if want := `T99.x: no type "Gone"`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}
