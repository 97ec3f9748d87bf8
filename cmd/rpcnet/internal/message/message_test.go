package message

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

// descriptor has every kind of type.
const descriptor = `{"version":1,"service":"t.v1.T","methods":[{"name":"M","shape":"unary","request":"All","response":"All"}],"types":{
"All":{"kind":"struct","fields":[
 {"name":"text","type":"string","omit_empty":true},{"name":"n","type":"int64","omit_empty":true},{"name":"f","type":"float64","omit_empty":true},
 {"name":"ok","type":"bool","omit_empty":true},{"name":"data","type":"bytes","omit_empty":true},{"name":"id","type":"[4]byte","omit_empty":true},
 {"name":"at","type":"time","omit_empty":true},{"name":"took","type":"duration","omit_empty":true},{"name":"maybe","type":"?string","omit_empty":true},
 {"name":"tags","type":"[]string","omit_empty":true},{"name":"pair","type":"[2]int32","omit_empty":true},{"name":"labels","type":"map[string]int32","omit_empty":true},
 {"name":"next","type":"?All","omit_empty":true},{"name":"part","type":"Part"},{"name":"event","type":"Event","omit_empty":true},{"name":"colour","type":"Colour","omit_empty":true},
 {"name":"any","type":"raw","omit_empty":true},{"name":"parts","type":"[]Part","omit_empty":true}]},
"Part":{"kind":"struct","fields":[{"name":"a","type":"string","omit_empty":true},{"name":"b","type":"uint8"}]},
"Empty":{"kind":"struct"},
"Event":{"kind":"union","variants":[{"name":"part","type":"Part"},{"name":"none","type":"Empty"}]},
"Colour":{"kind":"enum","base":"int","values":[{"name":"ColourRed","value":"0"},{"name":"ColourBlue","value":"1"}]}}}`

func parse(t testing.TB) *schema.Schema {
	t.Helper()
	s, err := schema.Parse(descriptor)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// readTestFile has one file.
func readTestFile(path string) ([]byte, error) {
	if path != "f" {
		return nil, errors.New("no file " + path)
	}
	return []byte(`{"a":"from a file"}`), nil
}

func TestWordsBecomeAMessageByTheirTypes(t *testing.T) {
	t.Parallel()
	s := parse(t)
	m, err := s.Message("All")
	if err != nil {
		t.Fatal(err)
	}
	for words, want := range map[string]string{
		"":                               `{}`,
		"text=Ada":                       `{"text":"Ada"}`,
		"text=7":                         `{"text":"7"}`,
		"text=":                          `{"text":""}`,
		"text=a=b":                       `{"text":"a=b"}`,
		"n=-7 f=1.5 ok=true":             `{"f":1.5,"n":-7,"ok":true}`,
		"f=NaN":                          `{"f":"NaN"}`,
		"data=abc":                       `{"data":"YWJj"}`,
		"data=@f":                        `{"data":"eyJhIjoiZnJvbSBhIGZpbGUifQ=="}`,
		"text=@f":                        `{"text":"{\"a\":\"from a file\"}"}`,
		"part=@f":                        `{"part":{"a":"from a file"}}`,
		"took=1.5s maybe=null":           `{"maybe":null,"took":"1.5s"}`,
		"maybe=x":                        `{"maybe":"x"}`,
		"tags=a tags=b":                  `{"tags":["a","b"]}`,
		`tags=["a","b"]`:                 `{"tags":["a","b"]}`,
		"pair=1 pair=2":                  `{"pair":[1,2]}`,
		"labels.x=1 labels.y=2":          `{"labels":{"x":1,"y":2}}`,
		"part.a=x part.b=2":              `{"part":{"a":"x","b":2}}`,
		"next.next.text=deep":            `{"next":{"next":{"text":"deep"}}}`,
		"event.part.b=3":                 `{"event":{"part":{"b":3}}}`,
		"colour=ColourBlue":              `{"colour":"ColourBlue"}`,
		"colour=1 any=hi":                `{"any":"hi","colour":1}`,
		`any:={"x":[1]} parts={"b":1}`:   `{"any":{"x":[1]},"parts":[{"b":1}]}`,
		`parts={"b":1} parts={"a":"x"}`:  `{"parts":[{"b":1},{"a":"x"}]}`,
		`part:={"a":"x"} text:="quoted"`: `{"part":{"a":"x"},"text":"quoted"}`,
	} {
		got, err := Build(s, "All", strings.Fields(words), readTestFile)
		if err != nil || string(got) != want {
			t.Errorf("%q: %s, %v, want %s", words, got, err, want)
			continue
		}
		if _, err := m.AppendCBOR(nil, got); err != nil {
			t.Errorf("%q: %s is no message: %v", words, got, err)
		}
	}
}

func TestWordsThatDoNotFitSayWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	s := parse(t)
	for words, want := range map[string]string{
		"Ada":                                  "want name=value, JSON, @file or -",
		"=x":                                   "want the name of a field",
		"txt=Ada":                              `no field "txt" in All: it has text, n, f,`,
		"part.c=x":                             `no field "c" in Part: it has a, b`,
		"event.none.x=1":                       `no field "x": Empty has none`,
		"n=seven":                              `"seven" is no int64`,
		"ok=1":                                 "want true or false",
		"text=a text=b":                        "it has been given before",
		"text.x=a":                             "the value before .x is of type string",
		"part=x":                               "Part has parts: give JSON",
		"any:=x":                               "is no JSON",
		`part={"b":1} part.b=1`:                "given as a whole before",
		`tags=["a"] tags=b`:                    "the list has been given as a whole before",
		"parts.a=x":                            "give each element as JSON",
		"event.part.b=1 event.none={}":         "another one has been given before",
		"data=@g":                              "no file g",
		strings.Repeat("next.", 40) + "text=x": "at most 32",
	} {
		if got, err := Build(s, "All", strings.Fields(words), readTestFile); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %s, %v, want %q", words, got, err, want)
		}
	}
}

func TestCompleteAddsWhatIsEmptyAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	s := parse(t)
	zeros := `"n":0,"f":0,"ok":false,"data":"","id":"AAAAAA==","at":"0001-01-01T00:00:00Z","took":"0s","maybe":null,"tags":[],"pair":[0,0],` +
		`"labels":{},"next":null,"event":null,"colour":"ColourRed","any":null`
	got, err := Complete(s, "All", []byte(`{"new":1,"text":"x","parts":[{"b":1}],"part":{"b":2}}`))
	want := `{"new":1,"text":"x","parts":[{"b":1,"a":""}],"part":{"b":2,"a":""},` + zeros + `}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
	plain, err := schema.Parse(`{"version":1,"service":"s","methods":[],"types":{"A":{"kind":"struct","fields":[{"name":"a","type":"string"}]}}}`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Complete(plain, "A", []byte(`{ "b":1}`)); err != nil || string(got) != `{ "b":1}` {
		t.Errorf("%s, %v", got, err)
	}
}

// An example shows every field, and is a message.
func TestAnExampleIsAMessage(t *testing.T) {
	t.Parallel()
	s := parse(t)
	for _, ref := range []string{"All", "Part", "Event", "Empty", "Colour", "[]All", "map[int32]Part"} {
		m, err := s.Message(ref)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range [][]byte{Example(s, ref), Zero(s, ref)} {
			if _, err := m.AppendCBOR(nil, text); err != nil && string(text) != "null" {
				t.Errorf("%s: %s: %v", ref, text, err)
			}
		}
	}
	if text := string(Example(s, "Part")); text != `{"a":"text","b":1}` {
		t.Error(text)
	}
}

func FuzzBuildAndComplete(f *testing.F) {
	f.Add("next.next.text=x tags=a tags=b", `{"next":{"text":"x"},"parts":[{}]}`)
	s := parse(f)
	f.Fuzz(func(t *testing.T, words, text string) {
		if b, err := Build(s, "All", strings.Fields(words), readTestFile); err == nil && !json.Valid(b) {
			t.Errorf("%q: %s", words, b)
		}
		if b, err := Complete(s, "All", []byte(text)); err == nil && json.Valid([]byte(text)) && !json.Valid(b) {
			t.Errorf("%q: %s", text, b)
		}
	})
}
