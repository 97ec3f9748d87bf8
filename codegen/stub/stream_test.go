package stub_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/codegen/stub"
	"github.com/rpcnet-go/rpcnet/rpctest"
	"github.com/rpcnet-go/rpcnet/workers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A note is the message of these tests, with a codec as it is generated.
type note struct {
	Text string
	Seq  uint64
}

func appendNote(b cbor.Buffer, n *note) (cbor.Buffer, error) {
	b = b.AppendMap(2)
	b = b.AppendString("seq")
	b = b.AppendUint(n.Seq)
	b = b.AppendString("text")
	b, ok := b.AppendText(n.Text)
	if !ok {
		return b.FailUTF8("text")
	}
	return b, nil
}

func decodeNote(d *cbor.Decoder, n *note) {
	for range d.Map() {
		switch d.View() {
		case "seq":
			n.Seq = d.Uint64()
		case "text":
			n.Text = d.Text()
		}
	}
	d.Leave()
}

var noteMessage = stub.StructMessage(appendNote, decodeNote, nil)

func noteSpec(name string, shape codegen.Shape) *rpcnet.Spec {
	return &rpcnet.Spec{Procedure: "/notes/" + name, Shape: shape, Request: noteMessage, Response: noteMessage}
}

var (
	uploadSpec    = noteSpec("Upload", codegen.ShapeClientStream)
	bidiSpec      = noteSpec("Bidi", codegen.ShapeBidi)
	resumableSpec = func() *rpcnet.Spec {
		s := noteSpec("Resumable", codegen.ShapeBidi)
		s.Resume = &codegen.Resume{
			Sequence: func(res any) uint64 { return res.(*note).Seq },
			From:     func(req any, next uint64) any { return &note{Text: req.(*note).Text, Seq: next} },
		}
		return s
	}()
)

// notes serves the specs; running counts the handlers that have not returned.
func notes(running *atomic.Int64) *rpcnet.Server {
	upload := func(_ context.Context, in iter.Seq2[*note, error]) (*note, error) {
		running.Add(1)
		defer running.Add(-1)
		var last note
		for n, err := range in {
			if err != nil {
				return nil, err
			}
			last.Text += n.Text
		}
		return &last, nil
	}
	bidi := func(_ context.Context, in iter.Seq2[*note, error]) iter.Seq2[*note, error] {
		return func(yield func(*note, error) bool) {
			running.Add(1)
			defer running.Add(-1)
			seq := uint64(0)
			for n, err := range in {
				if err != nil {
					yield(nil, err)
					return
				}
				seq++
				if !yield(&note{n.Text, seq}, nil) {
					return
				}
			}
		}
	}
	srv := rpcnet.NewServer(nil)
	srv.Register(uploadSpec, stub.HandleClientStream(upload, stub.NewPointer[note]))
	srv.Register(bidiSpec, stub.HandleBidi(bidi, stub.NewPointer[note]))
	srv.Register(resumableSpec, stub.HandleBidi(bidi, stub.NewPointer[note]))
	return srv
}

// overCluster returns a client that calls srv through a registry.
func overCluster(t *testing.T, srv *rpcnet.Server) rpcnet.Transport {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ep := rpctest.Listen(t, nil)
	w, err := workers.NewStaticWorker(ep, &workers.WorkerConfig{Logger: slog.New(slog.DiscardHandler)})
	must(err)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		ep.Serve(ctx, srv)
	}()
	t.Cleanup(func() { w.Close(); stop(); <-served })
	list := workers.NewStaticMembers(cluster.Member{Name: "worker", Addr: ep.Addr().String(), Tags: cluster.Tags{"role": "worker"}})
	r, err := workers.NewStaticRegistry(rpctest.Listen(t, nil), list, &workers.RegistryConfig{Logger: slog.New(slog.DiscardHandler)})
	must(err)
	t.Cleanup(func() { r.Close() })
	c, err := workers.NewClient(r, nil)
	must(err)
	t.Cleanup(func() { c.Close() })
	wait, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	must(r.WaitReady(wait, 1))
	return c
}

func onTransports(t *testing.T, srv *rpcnet.Server, f func(t *testing.T, c *rpcnet.Client)) {
	for name, transport := range map[string]func(t *testing.T) rpcnet.Transport{
		"inproc": func(t *testing.T) rpcnet.Transport {
			tr := rpcnet.InProcess(srv)
			t.Cleanup(func() { tr.Close() })
			return tr
		},
		"tls": func(t *testing.T) rpcnet.Transport {
			return rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil)
		},
		"cluster": func(t *testing.T) rpcnet.Transport { return overCluster(t, srv) },
	} {
		t.Run(name, func(t *testing.T) { f(t, rpcnet.NewClient(transport(t), nil)) })
	}
}

// endless yields ns and then waits for the end of ctx.
func endless(ctx context.Context, ns ...*note) iter.Seq2[*note, error] {
	return func(yield func(*note, error) bool) {
		for _, n := range ns {
			if !yield(n, nil) {
				return
			}
		}
		<-ctx.Done()
	}
}

func TestRequestThatCannotBeSentEndsItsCallWithTheReason(t *testing.T) {
	t.Parallel()
	var running atomic.Int64
	calls := map[string]func(ctx context.Context, c *rpcnet.Client, in iter.Seq2[*note, error]) error{
		"upload": func(ctx context.Context, c *rpcnet.Client, in iter.Seq2[*note, error]) error {
			return stub.CallClientStream(ctx, c, uploadSpec, in, new(note))
		},
		"bidi": func(ctx context.Context, c *rpcnet.Client, in iter.Seq2[*note, error]) error {
			return lastError(stub.CallBidi(ctx, c, bidiSpec, in, stub.NewPointer[note]))
		},
		"resumable": func(ctx context.Context, c *rpcnet.Client, in iter.Seq2[*note, error]) error {
			return lastError(stub.CallBidi(ctx, c, resumableSpec, in, stub.NewPointer[note]))
		},
	}
	fine := &note{Text: "fine"}
	onTransports(t, notes(&running), func(t *testing.T, c *rpcnet.Client) {
		for _, bad := range []struct {
			name string
			note *note
			code rpcnet.Code
			text string
		}{
			{"nil", nil, rpcnet.CodeInvalidArgument, "message is *stub_test.note, want a non-nil *stub_test.note"},
			{"not UTF-8", &note{Text: "\xff"}, rpcnet.CodeInvalidArgument, "request: text: text is not UTF-8"},
			{"too large", &note{Text: strings.Repeat("x", 5<<20)}, rpcnet.CodeResourceExhausted, "over the limit of 4194304 bytes, which is set by rpcnet.CallOptions.MaxMessageSize"},
		} {
			for shape, call := range calls {
				for before := range 3 {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					var requests []*note
					for range before {
						requests = append(requests, fine)
					}
					err := call(ctx, c, endless(ctx, append(requests, bad.note)...))
					if rpcnet.CodeOf(err) != bad.code || !strings.Contains(err.Error(), bad.text) {
						t.Errorf("%s after %d requests, %s: %v, want %v: %s", shape, before, bad.name, err, bad.code, bad.text)
					}
					cancel()
				}
			}
		}
		for deadline := time.Now().Add(10 * time.Second); running.Load() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d handlers still run", running.Load())
			}
		}
	})
}

func lastError(seq iter.Seq2[*note, error]) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

// A lost stream has had a response when its connection goes, of which Send
// hears first.
type lost struct {
	rpcnet.ClientStream
	sent     chan struct{}
	closed   atomic.Bool
	received int
}

var errLost = rpcnet.NewError(rpcnet.CodeUnavailable, "connection lost")

func (l *lost) Send(any) error { defer close(l.sent); return errLost }
func (l *lost) Close() error   { l.closed.Store(true); return nil }

func (l *lost) Recv(msg any) error {
	<-l.sent
	time.Sleep(20 * time.Millisecond) // whoever closes the stream for the error of Send has done so
	if l.received++; l.received > 1 || l.closed.Load() {
		return errLost
	}
	*msg.(*note) = note{Text: "came before"}
	return nil
}

func (l *lost) NewStream(context.Context, *rpcnet.Spec) (rpcnet.ClientStream, error) { return l, nil }

// TestResponsesBeforeALostConnectionArrive: an error of Send that ends the call
// is Recv's to tell, after what has come.
func TestResponsesBeforeALostConnectionArrive(t *testing.T) {
	t.Parallel()
	l := &lost{sent: make(chan struct{})}
	var got []string
	var last error
	for n, err := range stub.CallBidi(t.Context(), rpcnet.NewClient(l, nil), bidiSpec, endless(t.Context(), &note{}), stub.NewPointer[note]) {
		if last = err; err == nil {
			got = append(got, n.Text)
		}
	}
	if len(got) != 1 || got[0] != "came before" || !errors.Is(last, errLost) {
		t.Errorf("%q, %v", got, last)
	}
}
