package session_test

import (
	"context"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/budget"
	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/tlsconn"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// conversations are what a fuzzer starts from.
func conversations() [][]byte {
	const end = wire.FlagEnd
	cat := func(frames ...[]byte) (b []byte) {
		for _, f := range frames {
			b = append(b, f...)
		}
		return b
	}
	meta := wire.Open{Number: 1, Name: []byte("echo"), Deadline: 5, Metadata: []byte{1, 'k', 1, 1, 'v'}, HasMessage: true}
	return [][]byte{
		cat(raw(wire.TypeOpen, end, 1, open(1, "echo", []byte("x"))), raw(wire.TypeOpen, end, 2, open(1, "", []byte("y")))),
		cat(raw(wire.TypeOpen, 0, 1, open(1, "drain", nil)), raw(wire.TypeData, 0, 1, nil), raw(wire.TypeData, wire.FlagMore, 1, make([]byte, 20_000)),
			raw(wire.TypeData, 0, 1, []byte("x")), raw(wire.TypeEnd, 0, 1, nil)),
		cat(raw(wire.TypeOpen, wire.FlagMore, 1, open(1, "echo", make([]byte, 20_000))), raw(wire.TypeData, end, 1, make([]byte, 30_000))),
		cat(raw(wire.TypeOpen, 0, 1, open(1, "deaf", []byte("x"))), raw(wire.TypeReset, 0, 1, []byte{1}), raw(wire.TypeOpen, end, 1, open(2, "inline", []byte("x")))),
		cat(raw(wire.TypeOpen, end, 1, append(meta.Append(nil), 'm')), raw(wire.TypePing, 0, 0, make([]byte, 8)), raw(wire.TypeCredit, 0, 1, credit(9))),
		cat(raw(wire.TypeGoAway, 0, 0, []byte{wire.ReasonDrain}), raw(30, wire.FlagIgnorable, 0, []byte("new")), raw(wire.TypeCredit, 0, 0, credit(1<<31))),
		cat(raw(wire.TypeHeader, 0, 1, []byte{1, 'k', 0}), raw(wire.TypeData, 0, 1, []byte("one")), raw(wire.TypeStatus, 0, 1, nil)),
		cat(raw(wire.TypeData, wire.FlagMore, 1, make([]byte, 20_000)), raw(wire.TypeData, 0, 1, []byte("x")), raw(wire.TypeStatus, 0, 2, []byte{0xa1, 1, 5})),
	}
}

// survive feeds bytes to a session and waits for its end, which must come soon
// after the peer has hung up. started runs with the session.
func survive(t *testing.T, cfg session.Config, b []byte, started func(context.Context, *session.Session) (wait func())) {
	before := heap()
	near, far := tlsconn.Pipe()
	if cfg.Handler != nil {
		cfg.Pool = new(session.Pool)
		defer cfg.Pool.Close()
	}
	cfg.Account = charged(t, budget.New(8<<20, 8<<20), "peer")
	answers := make(chan struct{})
	go func() { defer close(answers); io.Copy(io.Discard, far) }()
	far.Write(settings(wire.Settings{}))
	s, err := session.New(near, cfg, patience, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	wait := started(ctx, s)
	far.Write(b)
	far.Close()
	select {
	case <-s.Closed():
	case <-ctx.Done():
		buf := make([]byte, 1<<20)
		t.Fatalf("the session goes on without a peer\n%s", buf[:runtime.Stack(buf, true)])
	}
	wait()
	if ctx.Err() != nil {
		t.Fatal("a call outlives its session")
	}
	<-answers
	if grown := heap() - before; grown > 256<<20 {
		t.Errorf("%d bytes cost %d MiB", len(b), grown>>20)
	}
}

// FuzzServer feeds what a caller might send to a server's session.
func FuzzServer(f *testing.F) {
	for _, c := range conversations() {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		survive(t, session.Config{Handler: handlers(), MaxStreams: 100, KeepaliveIdle: -1}, b,
			func(context.Context, *session.Session) func() { return func() {} })
	})
}

// FuzzCaller feeds what a server might send to a caller's session with calls of
// both kinds in flight.
func FuzzCaller(f *testing.F) {
	for _, c := range conversations() {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		survive(t, session.Config{KeepaliveIdle: -1}, b, func(ctx context.Context, s *session.Session) func() {
			st, err := s.NewStream(&session.Request{Procedure: "a", MaxReceive: 1 << 20}, nil)
			if err != nil {
				return func() {}
			}
			st.Send([]byte("x"), false, ctx.Done())
			ended := make(chan struct{}, 2)
			go func() {
				for {
					if _, err := st.Recv(ctx.Done()); err != nil {
						break
					}
				}
				st.Status()
				st.Header()
				st.Abandon(1, io.ErrClosedPipe)
				ended <- struct{}{}
			}()
			go func() {
				st, err := s.Call(&session.Request{Procedure: "b", MaxReceive: 1 << 20}, []byte("x"), ctx.Done(), false)
				if err == nil {
					st.Recv(nil)
					st.Status()
					st.Release()
				}
				ended <- struct{}{}
			}()
			time.Sleep(50 * time.Microsecond) // so that bytes meet calls in all states
			return func() { <-ended; <-ended }
		})
	})
}
