package stub_test

import (
	"bytes"
	"context"
	"io"
	"iter"
	"testing"
	"unsafe"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/codegen/stub"
	"github.com/rpcnet-go/rpcnet/internal/hook"
)

// A blob is a message of two byte slices and a text.
type blob struct {
	A, B []byte
	Text string
}

var blobMessage = stub.StructMessage(
	func(b cbor.Buffer, v *blob) (cbor.Buffer, error) {
		b = b.AppendArray(3)
		b = b.AppendBytes(v.A)
		b = b.AppendBytes(v.B)
		b, _ = b.AppendText(v.Text)
		return b, nil
	},
	func(d *cbor.Decoder, v *blob) {
		d.ArrayOf(3)
		v.A, v.B, v.Text = d.Bytes(), d.Bytes(), d.Text()
		d.Leave()
	}, nil)

// decodeBlob sends v to itself.
func decodeBlob(t *testing.T, v *blob) *blob {
	t.Helper()
	b, err := blobMessage.Append(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	var d cbor.Decoder
	d.Reset(b, cbor.Limits{})
	out := blobMessage.DecodeNew(&d).(*blob)
	if err := d.Finish(); err != nil {
		t.Fatal(err)
	}
	clear(b)
	return out
}

// TestPartsOfASmallMessageAreApart: the byte slices and texts of a message lie side by
// side, and appending to one does not change another.
func TestPartsOfASmallMessageAreApart(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 5, 20, 40, 200} { // each size of room, and none
		a, text := make([]byte, n), "text"
		for i := range a {
			a[i] = byte(i)
		}
		v := decodeBlob(t, &blob{A: a, B: a, Text: text})
		v.A = append(v.A, 0xff)
		v.B = append(v.B, 0xff)
		if string(v.A[:n]) != string(a) || string(v.B[:n]) != string(a) || v.Text != text {
			t.Errorf("%d bytes: %x, %x, %q, want twice %x and %q", n, v.A, v.B, v.Text, a, text)
		}
	}
}

// feedOf returns a server of a stream of messages.
func feedOf(spec *rpcnet.Spec, all []*note) *rpcnet.Server {
	srv := rpcnet.NewServer(nil)
	srv.Register(spec, stub.HandleServerStream(func(context.Context, *note) iter.Seq2[*note, error] {
		return func(yield func(*note, error) bool) {
			out := new(note) // one for all, which is what the documentation allows
			for _, n := range all {
				if *out = *n; !yield(out, nil) {
					return
				}
			}
		}
	}, stub.NewPointer[note]))
	return srv
}

// A watched stream sees what is received into.
type watched struct {
	rpcnet.ClientStream
	into []*note
}

func (w *watched) Recv(msg any) error {
	w.into = append(w.into, msg.(*note))
	return w.ClientStream.Recv(msg)
}

// TestMessagesAreReceivedHoweverTheyAreMade: over the streams of this module, with an
// interceptor, which sees the messages themselves, and with a codec that makes none.
func TestMessagesAreReceivedHoweverTheyAreMade(t *testing.T) {
	t.Parallel()
	all := []*note{{"one", 1}, {"two", 2}, {"", 3}, {"a text that is too long for the room beside a small message, and has memory of its own: " +
		"a message of so many bytes is as many allocations as it has parts, as is every other", 4}, {"five", 5}}
	plain := *noteSpec("Feed", codegen.ShapeServerStream)
	plain.Request.DecodeNew, plain.Request.DecodeOver = nil, nil
	plain.Response = plain.Request
	resumable := *noteSpec("Feed", codegen.ShapeServerStream)
	resumable.Resume = resumableSpec.Resume
	accepted := resumable
	accepted.Resume = &codegen.Resume{
		Sequence: resumableSpec.Resume.Sequence, From: resumableSpec.Resume.From,
		Accepted: func(req, _ any) any { return req },
	}
	seen := new(watched)
	watch := func(next rpcnet.ClientFunc) rpcnet.ClientFunc {
		return func(ctx context.Context, spec *rpcnet.Spec) (rpcnet.ClientStream, error) {
			s, err := next(ctx, spec)
			seen.ClientStream = s
			return seen, err
		}
	}
	for name, c := range map[string]struct {
		spec *rpcnet.Spec
		cfg  *rpcnet.ClientConfig
	}{
		"as it is":         {noteSpec("Feed", codegen.ShapeServerStream), nil},
		"intercepted":      {noteSpec("Feed", codegen.ShapeServerStream), &rpcnet.ClientConfig{Interceptors: []func(rpcnet.ClientFunc) rpcnet.ClientFunc{watch}}},
		"of a plain codec": {&plain, nil},
		"resumable":        {&resumable, nil},
		"with accepted":    {&accepted, nil},
	} {
		onTransports(t, feedOf(c.spec, all), func(t *testing.T, client *rpcnet.Client) {
			if c.cfg != nil {
				client = rpcnet.NewClient(client, c.cfg)
			}
			var got []*note
			for m, err := range stub.CallServerStream(t.Context(), client, c.spec, new(note), stub.NewPointer[note]) {
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got = append(got, m)
			}
			s, err := stub.OpenServerStream(t.Context(), client, c.spec, new(note), stub.NewPointer[note])
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			m := &note{Text: "left over", Seq: 99}
			for i, want := range all {
				if err := s.RecvInto(m); err != nil || *m != *want {
					t.Errorf("%s: RecvInto: %v, %v, want %v", name, m, err, want)
				}
				if i >= len(got) || *got[i] != *want {
					t.Errorf("%s: %v, want %v", name, got, want)
				}
			}
			if err := s.RecvInto(m); err != io.EOF {
				t.Errorf("%s: %v at the end, want io.EOF", name, err)
			}
		})
	}
	if n, want := len(seen.into), 3*(2*len(all)+2); n != want {
		t.Errorf("the interceptor has seen %d messages, want %d, with two ends for each transport", n, want)
	}
}

// TestRecvIntoUsesMemoryAgain, and no more of it than the message needs.
func TestRecvIntoUsesMemoryAgain(t *testing.T) {
	t.Parallel()
	spec := &rpcnet.Spec{Procedure: "/blobs/Talk", Shape: codegen.ShapeBidi, Request: blobMessage, Response: blobMessage}
	srv := rpcnet.NewServer(nil)
	srv.Register(spec, stub.HandleBidi(func(_ context.Context, in iter.Seq2[*blob, error]) iter.Seq2[*blob, error] { return in }, stub.NewPointer[blob]))
	onTransports(t, srv, func(t *testing.T, client *rpcnet.Client) {
		s, err := stub.OpenBidi[*blob](t.Context(), client, spec, stub.NewPointer[blob])
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		m := &blob{A: make([]byte, 100), Text: "same"}
		a, text := unsafe.SliceData(m.A), unsafe.StringData(m.Text)
		for _, sent := range []*blob{{A: []byte("hello"), Text: "same"}, {A: make([]byte, 100), B: []byte("b"), Text: "same"}} {
			if err := s.Send(sent); err != nil {
				t.Fatal(err)
			}
			if err := s.RecvInto(m); err != nil || string(m.A) != string(sent.A) || string(m.B) != string(sent.B) || m.Text != sent.Text {
				t.Errorf("%+v, %v, want %+v", m, err, sent)
			}
			if unsafe.SliceData(m.A) != a || unsafe.StringData(m.Text) != text {
				t.Error("the memory of the message is not used again")
			}
		}
	})
}

// TestRecvIntoOfAUnionFails before it receives, so that nothing is lost.
func TestRecvIntoOfAUnionFails(t *testing.T) {
	t.Parallel()
	spec := noteSpec("Feed", codegen.ShapeServerStream)
	union := func(r hook.MessageReceiver) (any, error) { return stub.NewPointer[note](r) }
	tr := rpcnet.InProcess(feedOf(spec, []*note{{"first", 1}}))
	defer tr.Close()
	s, err := stub.OpenServerStream(t.Context(), rpcnet.NewClient(tr, nil), spec, new(note), union)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.RecvInto(new(note)); rpcnet.CodeOf(err) != rpcnet.CodeFailedPrecondition {
		t.Errorf("%v, want FailedPrecondition", err)
	}
	if m, err := s.Recv(); err != nil || m.(*note).Text != "first" {
		t.Errorf("after it: %v, %v, want the first message", m, err)
	}
}

// TestRecvIntoLeavesWhatWasAccepted: a resumable stream that tells the next worker what it
// has received keeps the memory of that.
func TestRecvIntoLeavesWhatWasAccepted(t *testing.T) {
	t.Parallel()
	var kept [][]byte
	spec := &rpcnet.Spec{Procedure: "/blobs/Feed", Shape: codegen.ShapeServerStream, Request: blobMessage, Response: blobMessage, Resume: &codegen.Resume{
		Sequence: func(res any) uint64 { return uint64(res.(*blob).A[0]) },
		From:     func(req any, _ uint64) any { return req },
		Accepted: func(req, res any) any { kept = append(kept, res.(*blob).A); return req },
	}}
	srv := rpcnet.NewServer(nil)
	srv.Register(spec, stub.HandleServerStream(func(context.Context, *blob) iter.Seq2[*blob, error] {
		return func(yield func(*blob, error) bool) {
			for i := range byte(3) {
				if !yield(&blob{A: []byte{i + 1}}, nil) {
					return
				}
			}
		}
	}, stub.NewPointer[blob]))
	s, err := stub.OpenServerStream(t.Context(), rpcnet.NewClient(overCluster(t, srv), nil), spec, new(blob), stub.NewPointer[blob])
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var m blob
	for err = s.RecvInto(&m); err == nil; err = s.RecvInto(&m) {
	}
	if got := bytes.Join(kept, nil); err != io.EOF || string(got) != "\x01\x02\x03" {
		t.Errorf("%v, %x was accepted, want 010203", err, got)
	}
}
