package gen_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen/schema"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/hostile"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/kinds"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/oracle"
)

func parsed(t testing.TB, descriptor string) *schema.Schema {
	t.Helper()
	s, err := schema.Parse(descriptor)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestJSONKeepsEveryKindOfField(t *testing.T) {
	t.Parallel()
	m := allSpec(t).Request
	for _, in := range []*kinds.All{full(), {}} {
		b := mustAppend(t, m, in)
		j, err := m.JSON.AppendJSON([]byte("> "), b)
		if err != nil || !json.Valid(j[2:]) {
			t.Fatalf("%v\n%s", err, j)
		}
		back, err := m.JSON.AppendCBOR([]byte("x"), j[2:])
		if err != nil {
			t.Fatalf("%v\n%s", err, j)
		}
		got := new(kinds.All)
		if err := decode(m, back[1:], got); err != nil || !reflect.DeepEqual(got, in) {
			t.Errorf("%v\n got %+v\nwant %+v\n%s", err, got, in, j)
		}
	}
}

func TestJSONFormIsCanonical(t *testing.T) {
	t.Parallel()
	m := allSpec(t).Request
	j, err := m.JSON.AppendJSON(nil, mustAppend(t, m, full()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"created_at":"2026-11-23T00:00:00.000000005Z"`, `"last":{"created":{"name":"a"}}`, `"name":"käse"`, `"i8":-128`,
		`"uint64":18446744073709551615`, `"float64":3.141592653589793`, `"float32":1.1`, `"bytes":"AP8="`, `"fixed":"AQIDBA=="`,
		`"packed_u":[9223372036854775808]`, `"packed64":["-Infinity"]`, `"duration":"-1s"`, `"addr":"10.1.2.3"`, `"priority":"High"`, `"mood":"sad"`,
		`"ptr":"","url":`, `"raw":[1,2]`, `"union":{"many":{"seq":4,"answers":[{"text":{"seq":3,"text":"x"}},null,{"number":{"n":1}}]}}`,
		`"opt_point":{"x":1,"y":2,"z":3}`, `"by_name":{"c":{"created":{"name":"c"}},"d":{"removed":{"name":"d"}},"nil":null}`,
		`"int_map":{"5":[],"-1":["x"]}`, `"proto":null`,
	} {
		if !strings.Contains(string(j), want) && want != `"ptr":"","url":` {
			t.Errorf("no %s in\n%s", want, j)
		}
	}
}

func TestJSONErrorsNameTheFieldAndWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	m := allSpec(t).Request
	for in, want := range map[string]string{
		`{"nmae":"x"}`:                    `All: no field "nmae"; it has `,
		`{"int8":1}`:                      `All: no field "int8"; it has `,
		`{"i8":1.5}`:                      `All.i8: want int8, got 1.5`,
		`{"i8":128}`:                      `All.i8: want int8, got 128`,
		`{"i8":"1"}`:                      `All.i8: want int8, got "1"`,
		`{"uint":-1}`:                     `All.uint: want uint, got -1`,
		`{"bool":1}`:                      `All.bool: want bool, got 1`,
		`{"name":5}`:                      `All.name: want string, got 5`,
		`{"name":null,"name":"x"}`:        ``,
		`{"name":"a","name":"b"}`:         `All: the same name twice`,
		`{"strings":["a",5]}`:             `All.strings[1]: want string, got 5`,
		`{"strings":"a"}`:                 `All.strings: want an array ([]string), got "a"`,
		`{"array":[1,2]}`:                 `All.array: want 3 items, got 2`,
		`{"bytes":"?"}`:                   `All.bytes: want a string with base64, got "?"`,
		`{"fixed":"AA=="}`:                `All.fixed: want a string with base64 of 4 bytes, got "AA=="`,
		`{"time":"yesterday"}`:            `All.time: want a string with a time such as "2006-01-02T15:04:05Z", got "yesterday"`,
		`{"duration":"fast"}`:             `All.duration: want a string with a duration such as "1.5s", got "fast"`,
		`{"priority":"Medium"}`:           `All.priority: want shared.Priority, which is one of Low, High, or a number, got "Medium"`,
		`{"union":{"text":{},"many":{}}}`: `All.union: a union wants exactly one of text, number, nothing, many`,
		`{"union":{"txt":{}}}`:            `All.union: no variant "txt"; it has text, number, nothing, many`,
		`{"union":{"text":{"seq":-1}}}`:   `All.union.text.seq: want uint64, got -1`,
		`{"node":[]}`:                     `All.node: want an object with the fields of Node, got an array`,
		`{"int_map":{"300":[]}}`:          `All.int_map: key "300": want int8`,
		`{"strings":["","","","","","","","","","",""]}`:                                     `All.strings: longer than the contract allows: 11, at most 10`,
		`{"node":` + strings.Repeat(`{"next":`, 70) + `null` + strings.Repeat(`}`, 70) + `}`: `nested too deep`,
		`{"name":"x"} 5`:    `JSON has '5' at offset 13 where the end should come`,
		`{"name":"x"`:       `JSON ends where a comma or a brace should come`,
		`{"name":"x",}`:     `JSON has '}' at offset 12 where a string should come`,
		`{"name":"\ud800"}`: `bad escape`,
		`{"int":01}`:        `JSON has '0' at offset 7 where a value should come`,
		`{"int":-}`:         `where a value should come`,
		`[]`:                `All: want an object with the fields of All, got an array`,
		``:                  `All: want an object with the fields of All, got nothing`,
		"{}\x00":            `JSON has '\x00' at offset 2 where the end should come`,
		`nonsense`:          `JSON has 'n' at offset 0 where a value should come`,
	} {
		_, err := m.JSON.AppendCBOR(nil, []byte(in))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", in, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %s", in, err, want)
		}
	}
}

func TestJSONAcceptsNamesOfConstantsAndStringsForLargeNumbers(t *testing.T) {
	t.Parallel()
	m := allSpec(t).Request
	b, err := m.JSON.AppendCBOR(nil, []byte(` { "priority" : "Low", "mood":"Happy", "int64":"-9223372036854775808", "uint64":"18446744073709551615",
		"float64":"NaN", "name":"\u00e4\ud83d\ude00\n", "raw":{"b":[1,-1,1.5,"x",true,null],"a":{}}, "bool":null } `))
	if err != nil {
		t.Fatal(err)
	}
	got := new(kinds.All)
	if err := decode(m, b, got); err != nil || got.Priority != -1 || got.Mood != kinds.Happy || got.Int64 != -1<<63 ||
		got.Uint64 != 1<<64-1 || got.Float64 == got.Float64 || got.Name != "ä😀\n" {
		t.Errorf("%+v, %v", got, err)
	}
	if want := "\xa2\x61a\xa0\x61b\x86\x01\x20\xf9\x3e\x00\x61x\xf5\xf6"; string(got.Raw) != want {
		t.Errorf("raw %x, want %x", got.Raw, want)
	}
}

func TestJSONWithInt64Strings(t *testing.T) {
	t.Parallel()
	msg, err := parsed(t, kinds.KindsDescriptor).Message("All")
	if err != nil {
		t.Fatal(err)
	}
	j, err := msg.WithInt64Strings().AppendJSON(nil, mustAppend(t, allSpec(t).Request, full()))
	if err != nil || !strings.Contains(string(j), `"uint64":"18446744073709551615"`) || !strings.Contains(string(j), `"packed_u":["9223372036854775808"]`) || !strings.Contains(string(j), `"i8":-128`) {
		t.Errorf("%s, %v", j, err)
	}
}

func TestJSONOfWhatTheDescriptorDoesNotKnow(t *testing.T) {
	t.Parallel()
	m := allSpec(t).Request
	j, err := m.JSON.AppendJSON(nil, []byte("\xa2eunion\xa1enovel\x82\x01\x43abc\x64more\xa2\x01\xf4\x20\xd8\x55\x44\x00\x00\x80\x3f"))
	if want := `{"union":{"novel":[1,"YWJj"]},"more":{"1":false,"-1":[1]}}`; err != nil || string(j) != want {
		t.Errorf("%s, %v; want %s", j, err, want)
	}
	for _, bad := range []string{"", "\xa1", "\xa1cint\x61x", "\xa0\xa0", "\xa1\x64more\xa1\x81\x00\x00", "\xa1efixed\x41x"} {
		if j, err := m.JSON.AppendJSON(nil, []byte(bad)); err == nil {
			t.Errorf("%q: %s", bad, j)
		}
	}
}

func TestDescriptorTellsWhatTheContractSays(t *testing.T) {
	t.Parallel()
	s := parsed(t, kinds.KindsDescriptor)
	if s.Service != "kinds.v1.Kinds" || !strings.Contains(s.Doc, "`quoted`") || s.Errors != "Failure" || s.ErrorsName != "kinds.v1.Failure" {
		t.Errorf("%+v", s)
	}
	put, err := s.Method("Put")
	if err != nil || put.Shape != "clientstream" || put.Request != "Tick" || put.Response != "Count" || put.Route != "id" || put.Doc != "Upload takes many and gives one." {
		t.Errorf("%+v, %v", put, err)
	}
	if _, err := s.Method("Upload"); err == nil || !strings.Contains(err.Error(), `no method "Upload"; it has Unary, Feed, Put`) {
		t.Errorf("%v", err)
	}
	if enum := s.Types["shared.Priority"]; enum == nil || enum.Base != "int8" || len(enum.Values) != 2 {
		t.Errorf("%+v", enum)
	}
	if u := s.Types["Answer"]; u.Kind != "union" || len(u.Variants) != 4 || u.Doc != "Answer is a union." {
		t.Errorf("%+v", u)
	}
	if _, err := s.Message("Nope"); err == nil {
		t.Error("a type that does not exist")
	}
	// All types of all services can be transcoded.
	for _, d := range []string{kinds.KindsDescriptor, kinds.SecondDescriptor, kinds.ThirdDescriptor, oracle.SDescriptor} {
		s := parsed(t, d)
		for name := range s.Types {
			if _, err := s.Message(name); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestRandomMessagesKeepTheirBytesThroughJSON(t *testing.T) {
	t.Parallel()
	m := specOf(t, func(tr rpcnet.Transport) { oracle.NewSClient(tr).M(t.Context(), nil) }).Request
	r := filler{rand.New(rand.NewPCG(11, 12))}
	for i := range 300 {
		v := new(oracle.Value)
		r.fill(reflect.ValueOf(v).Elem(), 0)
		b := mustAppend(t, m, v)
		j, err := m.JSON.AppendJSON(nil, b)
		if err != nil || !json.Valid(j) {
			t.Fatalf("value %d: %v\n%s", i, err, j)
		}
		back, err := m.JSON.AppendCBOR(nil, j)
		if err != nil {
			t.Fatalf("value %d: %v\n%s", i, err, j)
		}
		var w oracle.Value
		if err := decode(m, back, &w); err != nil {
			t.Fatal(err)
		}
		if again := mustAppend(t, m, &w); !bytes.Equal(again, b) {
			t.Fatalf("value %d changed:\n%x\n%x\n%s", i, b, again, j)
		}
	}
}

// TestLongNamesAreCutInErrors: a key of a map is the caller's, and an error of
// its value names it.
func TestLongNamesAreCutInErrors(t *testing.T) {
	t.Parallel()
	m := specOf(t, func(tr rpcnet.Transport) { hostile.NewSClient(tr).M(t.Context(), nil) }).Request
	_, err := m.JSON.AppendCBOR(nil, []byte(`{"m":{"`+strings.Repeat("k", 1<<20)+`":1}}`))
	if err == nil || len(err.Error()) > 300 || !strings.Contains(err.Error(), "H.m.kkk") {
		t.Errorf("%.300v", err)
	}
}

// FuzzJSON feeds any text to the JSON bridge: what it takes must be a message
// that decodes, and must keep its bytes through JSON.
func FuzzJSON(f *testing.F) {
	m := allSpec(f).Request
	j, err := m.JSON.AppendJSON(nil, mustAppend(f, m, full()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(j))
	for _, s := range []string{`{}`, `{"union":{"text":{"text":"\u00e4"}}}`, `{"raw":{"b":1e5,"a":[-0]}}`, `{"float32":1e-46}`, `{"int_map":{"-1":["x"],"1":[]}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		b, err := m.JSON.AppendCBOR(nil, []byte(in))
		if err != nil {
			return
		}
		if !json.Valid([]byte(in)) {
			t.Fatalf("%q was taken for JSON", in)
		}
		// Texts with a form of their own, such as addresses, are checked by
		// their types only.
		if err := decode(m, b, new(kinds.All)); err != nil {
			for _, own := range []string{"addr", "url", "big", "binary", "proto"} {
				if strings.Contains(err.Error(), own) {
					return
				}
			}
			t.Fatalf("%s -> %x: %v", in, b, err)
		}
		j, err := m.JSON.AppendJSON(nil, b)
		if err != nil {
			t.Fatalf("%s -> %x: %v", in, b, err)
		}
		again, err := m.JSON.AppendCBOR(nil, j)
		if err != nil {
			t.Fatalf("%s -> %x -> %s: %v", in, b, j, err)
		}
		// Under raw a float may come back as an integer: JSON has one kind of
		// number. The JSON stays the same.
		if k, err := m.JSON.AppendJSON(nil, again); err != nil || !bytes.Equal(k, j) {
			t.Fatalf("%s -> %s -> %s, %v", in, j, k, err)
		}
	})
}
