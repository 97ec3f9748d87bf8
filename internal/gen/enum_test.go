package gen_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/schema"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/enums"
)

func ticketMessage(t *testing.T) codegen.Message {
	t.Helper()
	return specOf(t, func(tr rpcnet.Transport) { enums.NewEnumsClient(tr).Echo(t.Context(), &enums.Ticket{}) }).Request
}

// An enumeration is the name of its constant in JSON wherever it stands, and
// the number in CBOR.
func TestEnumsAreNamesInJSON(t *testing.T) {
	t.Parallel()
	m := ticketMessage(t)
	in := &enums.Ticket{
		Color: enums.ColorBlue, Unit: enums.UnitKiB, Wide: enums.WideMax, List: []enums.Color{enums.ColorInfra, enums.ColorNone},
		Packed: []enums.Color{enums.ColorBlue, enums.ColorInfra}, ByColor: map[enums.Color]string{enums.ColorBlue: "b", enums.ColorInfra: "i"},
		Maybe: ptr(enums.ColorCrimson), Day: time.Tuesday, Bare: 7, Ratio: enums.Half,
	}
	b := mustAppend(t, m, in)
	if want := "ecolor\x02"; !strings.Contains(string(b), want) {
		t.Errorf("%q is not in the CBOR %q", want, b)
	}
	j, err := m.JSON.AppendJSON(nil, b)
	const want = `{"day":"Tuesday","bare":7,"list":["ColorInfra","ColorNone"],"unit":"UnitKiB","wide":"WideMax","color":"ColorBlue",` +
		`"maybe":"ColorRed","ratio":0.5,"packed":["ColorBlue","ColorInfra"],"by_color":{"ColorBlue":"b","ColorInfra":"i"}}`
	if err != nil || string(j) != want {
		t.Errorf("%v\n got %s\nwant %s", err, j, want)
	}
	back, err := m.JSON.AppendCBOR(nil, j)
	got := new(enums.Ticket)
	if err == nil {
		err = decode(m, back, got)
	}
	if err != nil || !reflect.DeepEqual(got, in) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, in)
	}
}

// A constant that this program does not know stays the number that it is, in
// both directions.
func TestUnknownEnumValuesAreKeptAsNumbers(t *testing.T) {
	t.Parallel()
	m := ticketMessage(t)
	in := &enums.Ticket{
		Color: 1000, Unit: 11, Wide: 1 << 63, List: []enums.Color{-1000}, Packed: []enums.Color{9},
		ByColor: map[enums.Color]string{77: "x", -77: "y"}, Day: 8,
	}
	j, err := m.JSON.AppendJSON(nil, mustAppend(t, m, in))
	const want = `{"day":8,"bare":0,"list":[-1000],"unit":11,"wide":9223372036854775808,"color":1000,` +
		`"maybe":null,"ratio":0,"packed":[9],"by_color":{"77":"x","-77":"y"}}`
	if err != nil || string(j) != want {
		t.Errorf("%v\n got %s\nwant %s", err, j, want)
	}
	back, err := m.JSON.AppendCBOR(nil, j)
	got := new(enums.Ticket)
	if err == nil {
		err = decode(m, back, got)
	}
	if err != nil || !reflect.DeepEqual(got, in) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, in)
	}
}

func TestEnumsAreReadAsNamesAndAsNumbers(t *testing.T) {
	t.Parallel()
	m := ticketMessage(t)
	for in, want := range map[string]enums.Color{
		`"ColorBlue"`: enums.ColorBlue, `2`: enums.ColorBlue, `"ColorCrimson"`: enums.ColorRed, `-1`: enums.ColorInfra, `300`: 300,
	} {
		b, err := m.JSON.AppendCBOR(nil, []byte(`{"color":`+in+`,"by_color":{"`+strings.Trim(in, `"`)+`":"x"}}`))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		got := new(enums.Ticket)
		if err := decode(m, b, got); err != nil || got.Color != want || got.ByColor[want] != "x" {
			t.Errorf("%s: %+v, %v; want %d", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		`{"color":"Blue"}`:                               `Ticket.color: want Color, which is one of ColorInfra, ColorNone, ColorRed, ColorCrimson, ColorBlue, or a number, got "Blue"`,
		`{"color":"colorHidden"}`:                        `got "colorHidden"`,
		`{"color":40000}`:                                `got 40000`,
		`{"list":["ColorRed","Red"]}`:                    `Ticket.list[1]: want Color, which is one of`,
		`{"by_color":{"Red":""}}`:                        `Ticket.by_color: key "Red": want Color, which is one of`,
		`{"by_color":{"ColorRed":"","ColorCrimson":""}}`: `the same name twice`,
	} {
		if _, err := m.JSON.AppendCBOR(nil, []byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}

func TestDescriptorHasEnumsInTheOrderOfTheirValues(t *testing.T) {
	t.Parallel()
	s := parsed(t, enums.EnumsDescriptor)
	for name, want := range map[string]schema.Type{
		"Color": {Kind: "enum", Base: "int16", Values: []schema.Value{
			{Name: "ColorInfra", Value: "-1"}, {Name: "ColorNone", Value: "0"}, {Name: "ColorRed", Value: "1"}, {Name: "ColorCrimson", Value: "1"}, {Name: "ColorBlue", Value: "2"},
		}},
		"Unit": {Kind: "enum", Base: "uint8", Values: []schema.Value{{Name: "UnitByte", Value: "1"}, {Name: "UnitKiB", Value: "10"}}},
		"Wide": {Kind: "enum", Base: "uint64", Values: []schema.Value{{Name: "WideMax", Value: "18446744073709551615"}}},
	} {
		got := s.Types[name]
		if got == nil {
			t.Errorf("%s is not in the descriptor", name)
			continue
		}
		want.Doc = got.Doc
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, *got, want)
		}
	}
	if d := s.Types["time.Weekday"]; d == nil || len(d.Values) != 7 || d.Values[0].Name != "Sunday" {
		t.Errorf("time.Weekday: %+v", d)
	}
	for _, f := range s.Types["Ticket"].Fields {
		want := map[string]string{"bare": "int", "ratio": "float64", "by_color": "map[Color]string", "maybe": "?Color", "packed": "[]Color"}[f.Name]
		if want != "" && f.Type != want {
			t.Errorf("field %s is %s, want %s", f.Name, f.Type, want)
		}
	}
}
