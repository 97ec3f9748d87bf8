package gen_test

import (
	"context"
	"errors"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/kinds"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/shared"
)

func ptr[T any](v T) *T { return &v }

// full returns a message with every field set.
func full() *kinds.All {
	port := netip.MustParseAddrPort("[::1]:80")
	v := &kinds.All{
		Audit: shared.Audit{CreatedAt: time.Date(2026, 11, 23, 0, 0, 0, 5, time.UTC), By: "me", Last: shared.Created{Name: "a"}},
		Name:  "käse", Bool: true, Int: -1, Int8: math.MinInt8, Int16: math.MinInt16, Int32: math.MinInt32, Int64: math.MinInt64,
		Uint: math.MaxUint, Uint8: math.MaxUint8, Uint16: math.MaxUint16, Uint32: math.MaxUint32, Uint64: math.MaxUint64,
		Float32: 1.1, Float64: math.Pi, Bytes: []byte{0, 255}, Fixed: [4]byte{1, 2, 3, 4}, Array: [3]int16{-1, 0, 1},
		Strings: []string{"", "x"}, Nested: [][]int{{1, 2}, nil, {3}}, Floats: []float32{0.5, -2},
		Packed32: []float32{1, 2}, Packed64: []float64{math.Inf(-1)}, PackedI: []int16{-5}, PackedU: []uint64{1 << 63}, PackedB: []int8{-1},
		Map: map[string]string{"b": "1", "aa": "2", "c": ""}, IntMap: map[int8][]string{-1: {"x"}, 5: nil},
		UintMap: map[uint32]kinds.Node{7: {Value: "seven"}}, Level: map[kinds.Level]kinds.Level{"hi": "lo"},
		Chain: [][]kinds.Node{{{Value: "x"}}},
		Time:  time.Date(1999, 1, 2, 3, 4, 5, 0, time.UTC), Duration: -time.Second,
		Addr: netip.MustParseAddr("10.1.2.3"), AddrPort: &port, Big: new(big.Int).Lsh(big.NewInt(1), 200),
		URL: url.URL{Scheme: "https", Host: "example.com", Path: "/x"}, Priority: shared.High, Mood: kinds.Sad, Flags: kinds.Flags{1, 200},
		Ptr: ptr(""), PtrInt: ptr(int64(0)), Node: &kinds.Node{Value: "a", Next: &kinds.Node{}, Children: map[string]*kinds.Node{"n": nil, "m": {}}},
		Union:  kinds.AnswerMany{Answers: []kinds.Answer{kinds.AnswerText{Text: "x", Seq: 3}, nil, &kinds.AnswerNumber{N: 1}}, Seq: 4},
		Unions: []kinds.Answer{kinds.AnswerNothing{}, nil},
		ByName: map[string]shared.Event{"c": shared.Created{Name: "c"}, "d": &shared.Deleted{Name: "d"}, "nil": nil},
		Page:   shared.Page[shared.Page[string]]{Items: []shared.Page[string]{{Items: []string{"i"}, Next: "n"}}},
		Raw:    cbor.Raw("\x82\x01\x02"), Opt: "o", OptPtr: &kinds.Node{}, OptTime: time.Unix(1, 0).UTC(),
		OptPoint: kinds.Point{X: 1, Y: 2, Z: 3}, OptList: []kinds.Point{{}, {X: 1}},
	}
	v.Origin = "promoted"
	return v
}

func allSpec(t testing.TB) *rpcnet.Spec {
	return specOf(t, func(tr rpcnet.Transport) { kinds.NewKindsClient(tr).Unary(t.Context(), &kinds.All{}) })
}

func TestEveryKindOfFieldComesBack(t *testing.T) {
	t.Parallel()
	m := allSpec(t).Request
	b := roundTrip(t, m, full(), full())
	t.Logf("%d bytes", len(b))
	roundTrip(t, m, &kinds.All{}, &kinds.All{})
	// Empty is not told from nil.
	empty := &kinds.All{Bytes: []byte{}, Strings: []string{}, Packed32: []float32{}, Map: map[string]string{}, OptList: []kinds.Point{}}
	roundTrip(t, m, empty, &kinds.All{})
}

func TestProtobufFieldComesBack(t *testing.T) {
	t.Parallel()
	m := allSpec(t).Request
	in := &kinds.All{Proto: wrapperspb.String("hello")}
	out := new(kinds.All)
	if err := decode(m, mustAppend(t, m, in), out); err != nil || !proto.Equal(in.Proto, out.Proto) {
		t.Errorf("%v, %v", out.Proto, err)
	}
}

func TestFieldsThatAreNotSentStayHome(t *testing.T) {
	t.Parallel()
	m := allSpec(t).Request
	in := &kinds.All{Secret: "s3cret", Skipped: make(chan int)}
	b := mustAppend(t, m, in)
	if s := string(b); strings.Contains(s, "s3cret") || strings.Contains(s, "secret") || strings.Contains(s, "skipped") {
		t.Errorf("%q", s)
	}
	for _, name := range []string{"copt", "gopt_ptr", "copt_time", "ci16"} {
		if strings.Contains(string(b), name) {
			t.Errorf("%s is sent though it is empty", name)
		}
	}
}

func TestDecodeReplacesWhatWasThere(t *testing.T) {
	t.Parallel()
	m := allSpec(t).Request
	b := mustAppend(t, m, &kinds.All{Name: "new"})
	got := full()
	old := got.Map
	if err := decode(m, b, got); err != nil {
		t.Fatal(err)
	}
	if want := (&kinds.All{Name: "new"}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if len(old) != 3 {
		t.Error("the old message's map was changed")
	}
}

func TestEncodeErrorsNameTheField(t *testing.T) {
	t.Parallel()
	m := allSpec(t).Request
	for want, in := range map[string]*kinds.All{
		"All.Name: text is not UTF-8":                          {Name: "\xff"},
		"All.Name: longer than the contract allows: 1001":      {Name: strings.Repeat("x", 1001)},
		"All.Bytes: longer than the contract allows: 101":      {Bytes: make([]byte, 101)},
		"All.Map key: text is not UTF-8":                       {Map: map[string]string{"\xff": ""}},
		"Node.Value: text is not UTF-8":                        {Node: &kinds.Node{Value: "\xff"}},
		"All.Time: a time needs a year from 0 to 9999":         {Time: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"All.Raw: unexpected end of input":                     {Raw: cbor.Raw("\x81")},
		"Answer: *kinds.AnswerNumber is nil or not a known":    {Union: (*kinds.AnswerNumber)(nil)},
		"Event: *shared.Deleted is nil or not a known variant": {Audit: shared.Audit{Last: (*shared.Deleted)(nil)}},
	} {
		if _, err := m.Append(nil, in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for _, in := range []any{nil, (*kinds.All)(nil), kinds.All{}, 5} {
		if _, err := m.Append(nil, in); err == nil {
			t.Errorf("%T was encoded as a request", in)
		}
	}
}

func TestDecodeErrorsSayThePath(t *testing.T) {
	t.Parallel()
	m := allSpec(t).Request
	for in, want := range map[string]string{
		"\xa1cint\x61x":                                 "int: want integer, got text (offset 5)",
		"\xa1bi8\x19\x01\x00":                           "i8: number out of range: 256 does not fit into int8 (offset 7)",
		"\xa1dname\x19":                                 "name: unexpected end of input (offset 6)",
		"\xa2dname\x60dname\x60":                        "the same key twice",
		"\xa1dpage\xa1eitems\x81\xa1dnext\x01":          "page: items: next: want text, got unsigned integer",
		"\xa1eunion\xa1dtext\xa1cseq\x20":               "union: text: seq: number out of range: it is negative",
		"\xa1eunion\xa2dtext\xa0enumber\xa0":            "union: a union is a map with one entry, got 2",
		"\xa1eunion\x05":                                "union: want map, got unsigned integer",
		"\xa1eunion\xa1enovel\x81":                      "unexpected end of input",
		"\xa1cmap\xa2\x61a\x61x\x61a\x61y":              "map: the same key twice",
		"\xa1ebytes\x58\x65" + strings.Repeat("x", 101): "bytes: longer than the contract allows: 101, at most 100",
		"\xa1gstrings\x8b" + strings.Repeat("\x60", 11): "strings: longer than the contract allows: 11, at most 10",
		"\xa1efixed\x43abc":                             "fixed: want 4 bytes, got 3",
		"\xa1earray\x82\x00\x00":                        "array: want 3 items, got 2",
		"\xa1daddr\x63abc":                              "addr: ParseAddr",
		"\xa1ffloats\xd8\x56\x40":                       "floats: want a typed array with tag 85, got tag 86",
		"\x80":                                          "want map, got array (offset 0)",
		"":                                              "unexpected end of input (offset 0)",
		"\xa0\x00":                                      "bytes after the message: 1 of 2",
	} {
		err := decode(m, []byte(in), new(kinds.All))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

func TestUnknownFieldsAndNullsAreAccepted(t *testing.T) {
	t.Parallel()
	m := allSpec(t).Request
	got := new(kinds.All)
	in := "\xa4" + "\x68brandnew\x82\x01\xa1\x01\x02" + "dname\xf6" + "cint\xf7" + "\x18\x2a\xf6"
	if err := decode(m, []byte(in), got); err != nil || !reflect.DeepEqual(got, new(kinds.All)) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSpecsCarryTheDirectives(t *testing.T) {
	t.Parallel()
	c := func(tr rpcnet.Transport) *kinds.KindsClient { return kinds.NewKindsClient(tr) }
	ctx := t.Context()
	unary := allSpec(t)
	if unary.Procedure != "/kinds.v1.Kinds/Unary" || kinds.KindsUnaryProcedure != "/kinds.v1.Kinds/Unary" || unary.Shape != codegen.ShapeUnary ||
		unary.Idempotency != codegen.IdempotencyNoSideEffects || unary.Timeout != 2*time.Second || unary.Inline ||
		unary.Doc != "Unary takes one and gives one." || unary.Errors == nil || unary.Errors.Name != "kinds.v1.Failure" {
		t.Errorf("%+v", unary)
	}
	if got := unary.Route(&kinds.All{Name: "key"}); got != "key" {
		t.Errorf("route = %q", got)
	}
	if got := unary.Route("something else"); got != "" {
		t.Errorf("route of another type = %q", got)
	}
	feed := specOf(t, func(tr rpcnet.Transport) {
		for range c(tr).Feed(ctx, &kinds.FeedRequest{}) {
		}
	})
	if feed.Shape != codegen.ShapeServerStream || feed.MaxMessageSize != 1<<20 || feed.Idempotency != codegen.IdempotencyIdempotent {
		t.Errorf("%+v", feed)
	}
	if got := feed.Resume.Sequence(&kinds.Tick{Seq: 7}); got != 7 {
		t.Errorf("sequence = %d", got)
	}
	req := &kinds.FeedRequest{Since: 1, Count: 5}
	if next := feed.Resume.Next(feed.Resume.From(req, 9)); next != 9 || feed.Resume.Next(nil) != 0 {
		t.Errorf("the request that asks from 9 is read as one from %d", next)
	}
	from := feed.Resume.From(req, 9).(*kinds.FeedRequest)
	if from.Since != 9 || from.Count != 5 || req.Since != 1 {
		t.Errorf("from = %+v, original %+v", from, req)
	}
	tick := &kinds.Tick{Seq: 7}
	feed.Resume.Accepted(req, tick)
	tick.Seq = 100
	feed.Resume.Accepted(req, &kinds.Tick{Seq: 8})
	if from := feed.Resume.From(req, 9).(*kinds.FeedRequest); len(from.Ticks) != 2 || from.Ticks[0].Seq != 7 || from.Ticks[1].Seq != 8 {
		t.Errorf("accepted: %+v", from)
	}
	upload := specOf(t, func(tr rpcnet.Transport) { c(tr).UploadStream(ctx) })
	if upload.Procedure != "/kinds.v1.Kinds/Put" || upload.Shape != codegen.ShapeClientStream || upload.Route(&kinds.Tick{ID: -5}) != "-5" {
		t.Errorf("%+v", upload)
	}
	bidi := specOf(t, func(tr rpcnet.Transport) { c(tr).BidiStream(ctx) })
	union := kinds.Answer(kinds.AnswerMany{Seq: 5})
	for want, res := range map[uint64]any{3: kinds.AnswerText{Seq: 3}, 4: &kinds.AnswerText{Seq: 4}, 5: &union, 0: &kinds.AnswerNumber{N: 9}} {
		if got := bidi.Resume.Sequence(res); got != want {
			t.Errorf("sequence of %T = %d, want %d", res, got, want)
		}
	}
	first := &kinds.Empty{}
	for _, res := range []kinds.Answer{kinds.AnswerText{Text: "a"}, kinds.AnswerMany{Seq: 2}, &kinds.AnswerText{Text: "b"}, &kinds.AnswerNumber{}, nil} {
		bidi.Resume.Accepted(first, &res)
	}
	if len(first.Texts) != 2 || first.Texts[0].Text != "a" || first.Texts[1].Text != "b" {
		t.Errorf("accepted: %+v", first)
	}
	if bidi.Shape != codegen.ShapeBidi || bidi.Resume.From(&kinds.Empty{}, 3).(*kinds.Empty).ResumeFrom != 3 {
		t.Errorf("%+v", bidi)
	}
	inline := specOf(t, func(tr rpcnet.Transport) { c(tr).Union(ctx, kinds.AnswerNothing{}) })
	if !inline.Inline || inline.Doc != "" {
		t.Errorf("%+v", inline)
	}
	pb := specOf(t, func(tr rpcnet.Transport) { c(tr).Proto(ctx, nil) })
	if pb.Request.Encoding != codegen.EncodingProto || pb.Response.Encoding != codegen.EncodingProto {
		t.Errorf("%+v", pb)
	}
	second := specOf(t, func(tr rpcnet.Transport) { kinds.NewSecondClient(tr).Count(ctx, &kinds.Count{}) })
	if second.Procedure != "/kinds.Second/Count" || second.Errors != nil {
		t.Errorf("%+v", second)
	}
}

func TestUnknownVariantIsCarriedUnchanged(t *testing.T) {
	t.Parallel()
	spec := specOf(t, func(tr rpcnet.Transport) { kinds.NewKindsClient(tr).Union(context.Background(), kinds.AnswerNothing{}) })
	in := "\xa1enovel\xa2\x61a\x82\x01\x02\x61b\xf6"
	var got kinds.Answer
	if err := decode(spec.Request, []byte(in), &got); err != nil {
		t.Fatal(err)
	}
	u, ok := got.(*kinds.UnknownAnswer)
	if !ok || u.Name != "novel" {
		t.Fatalf("%#v", got)
	}
	if b := mustAppend(t, spec.Response, got); string(b) != in {
		t.Errorf("%q, want %q", b, in)
	}
}

func TestValueThatContainsItselfIsAnError(t *testing.T) {
	t.Parallel()
	m := allSpec(t).Request
	node := &kinds.Node{}
	node.Next = node
	many := kinds.AnswerMany{Answers: make([]kinds.Answer, 1)}
	many.Answers[0] = many
	for name, in := range map[string]*kinds.All{"struct": {Node: node}, "union": {Union: many}} {
		if _, err := m.Append(nil, in); !errors.Is(err, cbor.ErrDepth) {
			t.Errorf("%s: %v, want %v", name, err, cbor.ErrDepth)
		}
	}
	deep := &kinds.All{}
	for range 1000 {
		deep.Node = &kinds.Node{Next: deep.Node}
	}
	b := mustAppend(t, m, deep)
	var d cbor.Decoder
	d.Reset(b, cbor.Limits{Depth: -1})
	got := new(kinds.All)
	if m.Decode(&d, got); d.Finish() != nil || !reflect.DeepEqual(got, deep) {
		t.Errorf("a deep value did not come back: %v", d.Err())
	}
}
