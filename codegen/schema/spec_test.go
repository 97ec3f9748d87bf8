package schema_test

import (
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

const streams = `{"version":1,"service":"talk.v1.Talk","errors":"Failure","errors_name":"TalkError",
"methods":[
{"name":"Say","shape":"bidi","request":"Ask","response":"Event","resume_from":"from","sequence":"seq","accepted":"said","accepted_variant":"word","timeout":"3s","max_size":77,"route":"user"},
{"name":"Tell","shape":"serverstream","request":"Ask","response":"Word","resume_from":"from","sequence":"seq","idempotency":"nosideeffects"},
{"name":"Proto","shape":"unary","request":"protobuf Point","response":"protobuf Point"}],
"types":{
"Ask":{"kind":"struct","fields":[{"name":"from","type":"uint64"},{"name":"user","type":"string"},{"name":"said","type":"[]Word"}]},
"Event":{"kind":"union","variants":[{"name":"word","type":"Word"},{"name":"note","type":"Note"}]},
"Failure":{"kind":"union","variants":[{"name":"note","type":"Note"}]},
"Note":{"kind":"struct","fields":[{"name":"text","type":"string"}]},
"Word":{"kind":"struct","fields":[{"name":"text","type":"string"},{"name":"seq","type":"uint64"}]}}}`

// specOf returns a specification of a method of streams.
func specOf(t *testing.T, method string, int64Strings bool) *codegen.Spec {
	t.Helper()
	s, err := schema.Parse(streams)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := s.Spec(method, int64Strings)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// encoded returns a message as JSON after a way through CBOR, as a peer has it.
func encoded(t *testing.T, m codegen.Message, msg any) string {
	t.Helper()
	b, err := m.Append(nil, msg)
	if err != nil {
		t.Fatal(err)
	}
	var d cbor.Decoder
	d.Reset(b, cbor.Limits{})
	var out []byte
	m.Decode(&d, &out)
	if err := d.Finish(); err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestSpecSaysWhatTheDescriptorSays(t *testing.T) {
	t.Parallel()
	say := specOf(t, "Say", false)
	if say.Procedure != "/talk.v1.Talk/Say" || say.Shape != codegen.ShapeBidi || say.Timeout.Seconds() != 3 || say.MaxMessageSize != 77 || say.Idempotency != 0 {
		t.Errorf("Say: %+v", say)
	}
	if key := say.Route([]byte(`{"user":"ada"}`)); key != "ada" {
		t.Errorf("the affinity key is %q, want ada", key)
	}
	if tell := specOf(t, "Tell", false); tell.Shape != codegen.ShapeServerStream || tell.Idempotency != codegen.IdempotencyNoSideEffects {
		t.Errorf("Tell: %+v", tell)
	}
	if p := specOf(t, "Proto", false); p.Request.Encoding != codegen.EncodingJSON || p.Response.Encoding != codegen.EncodingJSON {
		t.Errorf("protobuf: %+v, want JSON that the server converts", p)
	}
}

// The numbers of responses are found in unions and structs, as numbers and as strings.
func TestSpecResumesInJSON(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, response string
		want             uint64
	}{
		{"Say", `{"word":{"text":"a","seq":7}}`, 7},
		{"Say", `{"word": {"text":"a,}\"seq\":1", "seq" : "18446744073709551615"} }`, 1<<64 - 1},
		{"Say", `{"note":{"text":"no number"}}`, 0},
		{"Say", `{"word":`, 0},
		{"Tell", `{"text":["{",{"seq":3}],"seq":8}`, 8},
		{"Tell", `[]`, 0},
	} {
		b := []byte(c.response)
		if got := specOf(t, c.method, false).Resume.Sequence(&b); got != c.want {
			t.Errorf("%s: the number of %s is %d, want %d", c.method, c.response, got, c.want)
		}
	}
	r := specOf(t, "Say", false).Resume
	if next := r.Next([]byte(`{"from":5}`)); next != 5 {
		t.Errorf("the request asks for %d, want 5", next)
	}
	req := specOf(t, "Say", false).Request
	original := []byte(`{"user":"ada","said":[{"text":"a","seq":1}]}`)
	kept := r.Accepted(original, []byte(`{"word":{"text":"b","seq":2}}`))
	kept = r.Accepted(kept, []byte(`{"note":{"text":"is no word"}}`))
	clear(original)
	if got, want := encoded(t, req, r.From(kept, 3)), `{"from":3,"said":[{"seq":1,"text":"a"},{"seq":2,"text":"b"}],"user":"ada"}`; got != want {
		t.Errorf("the request that goes on is %s, want %s", got, want)
	}
	// A later attempt starts from the same request.
	if got := encoded(t, req, r.From(kept, 4)); !strings.HasPrefix(got, `{"from":4,`) {
		t.Errorf("the third attempt asks with %s, want from 4", got)
	}
}

func TestSpecWritesInt64StringsIfAsked(t *testing.T) {
	t.Parallel()
	word := []byte(`{"seq":9007199254740993,"text":"a"}`)
	if got := encoded(t, specOf(t, "Tell", true).Response, word); got != `{"seq":"9007199254740993","text":"a"}` {
		t.Errorf("with strings: %s", got)
	}
	if got := encoded(t, specOf(t, "Tell", false).Response, word); got != string(word) {
		t.Errorf("with numbers: %s", got)
	}
}

func TestDescriptionsOfPeersAreChecked(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{``, `{`, `[]`, `{"services":[{}]}`, `{"services":[null]}`, `{"services":[` + strings.Repeat(`1,`, 2000) + `1]}`} {
		if _, _, err := schema.ParseDescription([]byte(bad)); err == nil {
			t.Errorf("the description %.40s is taken", bad)
		}
	}
	s, err := schema.Parse(strings.Replace(streams, `"bidi"`, `"tridi"`, 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Spec("Say", false); err == nil || !strings.Contains(err.Error(), "tridi") {
		t.Errorf("an unknown shape: %v", err)
	}
	if _, err := s.DetailJSON(&codegen.Detail{Name: "other"}); err == nil {
		t.Error("the errors of another contract are converted")
	}
}

// What a peer sends as JSON never makes the search for members panic or loop.
func FuzzSpecSequence(f *testing.F) {
	s, err := schema.Parse(streams)
	if err != nil {
		f.Fatal(err)
	}
	say, err := s.Spec("Say", true)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"word":{"text":"a","seq":7}}`))
	f.Add([]byte(`{"a":[{"b":"]"},1e5,tru`))
	f.Fuzz(func(t *testing.T, text []byte) {
		say.Resume.Sequence(&text)
		say.Resume.Next(text)
		say.Route(text)
		say.Request.Append(nil, say.Resume.From(say.Resume.Accepted(text, text), 3))
	})
}
