package main

import (
	"bufio"
	"slices"
	"strings"
	"testing"
)

// What breaks off, or ends with an error, must not count as a stream of few messages.
func TestStreamsOfJSONEndCleanlyOrFail(t *testing.T) {
	t.Parallel()
	const event, envelope = "data: {\"n\":1}\n\n", "\x00\x00\x00\x00\x07{\"n\":1}"
	for _, test := range []struct {
		name   string
		form   streamForm
		stream string
		want   string // in the error; "": none
		n      int    // messages before it
	}{
		{"events", eventStreams, event + ":\n\n" + event + "event: end\ndata: {}\n\n", "", 2},
		{"events with an error", eventStreams, event + "event: error\ndata: {\"code\":\"internal\"}\n\n", "internal", 1},
		{"events cut", eventStreams, event, "no last event", 1},
		{"envelopes", connectStreams, envelope + envelope + "\x02\x00\x00\x00\x02{}", "", 2},
		{"envelopes with an error", connectStreams, envelope + "\x02\x00\x00\x00\x0c{\"error\":{}}", "failed", 1},
		{"envelopes cut", connectStreams, envelope, "no last message", 1},
		{"an envelope cut", connectStreams, envelope[:7], "unexpected EOF", 0},
	} {
		var got []string
		err := test.form.receive(bufio.NewReader(strings.NewReader(test.stream)), func(text []byte) error {
			got = append(got, string(text))
			return nil
		})
		if !slices.Equal(got, slices.Repeat([]string{`{"n":1}`}, test.n)) {
			t.Errorf("%s: messages %q, want %d", test.name, got, test.n)
		}
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
}

func TestEachCellIsInOneTable(t *testing.T) {
	t.Parallel()
	p := &plan{cells: fullCells()}
	in := map[cell][]string{}
	for _, table := range tables(p) {
		for _, c := range table.cells {
			in[c] = append(in[c], table.title)
		}
	}
	for _, c := range p.cells {
		if len(in[c]) != 1 {
			t.Errorf("%s is in %d tables: %q", c.name(), len(in[c]), in[c])
		}
	}
}

func TestPayloadsOfJSONAreDecoded(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"data":"AQI="}`, `{"data": "AQI="}`} {
		if got, err := decodePayload(nil, []byte(text)); err != nil || string(got) != "\x01\x02" {
			t.Errorf("%s: %x, %v; want 0102", text, got, err)
		}
	}
	for _, text := range []string{``, `{}`, `{"data":"`, `{"data":"}`, `{"code":"AQI="}`, `{"data":"A*I="}`} {
		if got, err := decodePayload(nil, []byte(text)); err == nil {
			t.Errorf("%s: got %x, want an error", text, got)
		}
	}
}
