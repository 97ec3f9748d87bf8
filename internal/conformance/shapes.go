package conformance

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
)

// shapes returns an echo in each shape: unary and bidi give back what they
// take, serverstream splits its request in as many bytes, clientstream joins.
func (s *suite) shapes() []method {
	return []method{
		s.method("unary", codegen.ShapeUnary, echoOnce),
		s.method("bidi", codegen.ShapeBidi, echo),
		s.method("serverstream", codegen.ShapeServerStream, func(_ context.Context, p peer) error {
			m, err := p.recv()
			if err != nil {
				return err
			}
			n, size := binary.LittleEndian.Uint32(m), binary.LittleEndian.Uint32(m[4:])
			for i := range n {
				if err := p.send(pattern(int(size * (i % 2)))); err != nil {
					return err
				}
			}
			return nil
		}),
		s.method("clientstream", codegen.ShapeClientStream, func(_ context.Context, p peer) error {
			var n, size int
			for {
				m, err := p.recv()
				if err == io.EOF {
					return p.send(fmt.Appendf(nil, "%d messages, %d bytes", n, size))
				}
				if err != nil {
					return err
				}
				n, size = n+1, size+len(m)
			}
		}),
	}
}

// sizes are just below, at and above each boundary: of a message in the OPEN frame,
// of a part, of a frame and of a window.
var sizes = []int{0, 1, 2, 100, 4 << 10, 16<<10 - 40, 16<<10 - 1, 16 << 10, 16<<10 + 1, 32<<10 - 1, 32 << 10, 32<<10 + 1,
	64<<10 - 8, 64 << 10, 64<<10 + 1, 128 << 10, 256<<10 - 9, 256<<10 - 8, 256 << 10, 256<<10 + 1, 1 << 20, 4<<20 - 32}

var _ = register("UnaryOfEverySize", func(s *suite) {
	r := s.rig(s.shapes(), nil)
	for _, n := range sizes {
		in := pattern(n)
		out, err := r.unary(s.ctx(), "unary", in)
		if err != nil {
			s.Fatalf("%d bytes: %v", n, err)
		}
		s.same(out, in)
	}
})

var _ = register("BidiOfEverySize", func(s *suite) {
	r := s.rig(s.shapes(), nil)
	c := r.open(s.ctx(), "bidi", codegen.ShapeBidi)
	for _, n := range sizes {
		if err := c.send(pattern(n)); err != nil {
			s.Fatalf("%d bytes: %v", n, err)
		}
		s.want(c.peer, pattern(n))
	}
	if err := c.CloseSend(); err != nil {
		s.Fatal(err)
	}
	s.wantEnd(c.peer)
	s.wantEnd(c.peer) // for ever
})

var _ = register("EmptyMessageIsNotTheEnd", func(s *suite) {
	r := s.rig(s.shapes(), nil)
	for _, sequence := range [][]int{{0}, {0, 0, 0}, {0, 1}, {1, 0}, {1, 0, 0, 1}, {0, 70000, 0}, {}} {
		c := r.open(s.ctx(), "bidi", codegen.ShapeBidi)
		for _, n := range sequence {
			if err := c.send(pattern(n)); err != nil {
				s.Fatal(err)
			}
		}
		if err := c.CloseSend(); err != nil {
			s.Fatal(err)
		}
		for _, n := range sequence {
			s.want(c.peer, pattern(n))
		}
		s.wantEnd(c.peer)

		u := r.open(s.ctx(), "clientstream", codegen.ShapeClientStream)
		total := 0
		for _, n := range sequence {
			total += n
			if err := u.send(pattern(n)); err != nil {
				s.Fatal(err)
			}
		}
		if err := u.CloseSend(); err != nil {
			s.Fatal(err)
		}
		s.want(u.peer, fmt.Appendf(nil, "%d messages, %d bytes", len(sequence), total))
		s.wantEnd(u.peer)
	}
})

var _ = register("ServerStream", func(s *suite) {
	r := s.rig(s.shapes(), nil)
	for _, c := range []struct{ n, size uint32 }{{0, 0}, {1, 0}, {2, 1}, {1000, 100}, {40, 100_000}} {
		f := r.open(s.ctx(), "serverstream", codegen.ShapeServerStream)
		req := binary.LittleEndian.AppendUint32(nil, c.n)
		if err := f.send(binary.LittleEndian.AppendUint32(req, c.size)); err != nil {
			s.Fatal(err)
		}
		for i := range c.n {
			s.want(f.peer, pattern(int(c.size*(i%2))))
		}
		s.wantEnd(f.peer)
	}
})

var _ = register("MessageOf100MB", func(s *suite) {
	const size, limit = 100_000_000, 128 << 20
	if s.String() == "typed" {
		s.Skip("the bytes travel the same way: once is enough")
	}
	r := s.rig(nil, &rpcnet.ServerConfig{MaxMessageSize: limit})
	r.server.Handle("echo", testkit.Echo)
	ctx, _ := rpcnet.NewCall(s.ctx(), rpcnet.CallOptions{MaxMessageSize: limit})
	in := pattern(size)
	out, err := rpcnet.CallRaw(ctx, r.transport, "echo", in)
	if err != nil {
		s.Fatal(err)
	}
	s.same(out, in)
})

var _ = register("ManyMessagesKeepTheirOrder", func(s *suite) {
	r := s.rig(s.shapes(), nil)
	c := r.open(s.ctx(), "bidi", codegen.ShapeBidi)
	const n = 5000
	sent := make(chan error, 1)
	go func() {
		for i := range n {
			if err := c.send(binary.LittleEndian.AppendUint32(pattern(i%500), uint32(i))); err != nil {
				sent <- err
				return
			}
		}
		sent <- c.CloseSend()
	}()
	for i := range n {
		s.want(c.peer, binary.LittleEndian.AppendUint32(pattern(i%500), uint32(i)))
	}
	s.wantEnd(c.peer)
	if err := <-sent; err != nil {
		s.Error(err)
	}
})

var _ = register("CallRaw", func(s *suite) {
	r := s.rig(nil, nil)
	r.server.Handle("echo", testkit.Echo)
	for _, n := range sizes {
		in := pattern(n)
		out, err := rpcnet.CallRaw(s.ctx(), r.transport, "echo", in)
		if err != nil {
			s.Fatalf("%d bytes: %v", n, err)
		}
		s.same(out, in)
		clear(in) // out is the caller's own
		s.same(out, pattern(n))
	}
})

var _ = register("InlineHandlers", func(s *suite) {
	m := s.method("inline", codegen.ShapeUnary, echoOnce)
	m.spec.Inline = true
	fails := s.method("fails", codegen.ShapeUnary, func(context.Context, peer) error {
		return rpcnet.NewError(rpcnet.CodeNotFound, "nothing here")
	})
	fails.spec.Inline = true
	r := s.rig(append(s.shapes(), m, fails), nil)
	for _, n := range sizes {
		out, err := r.unary(s.ctx(), "inline", pattern(n))
		if err != nil {
			s.Fatalf("%d bytes: %v", n, err)
		}
		s.same(out, pattern(n))
	}
	errs := make(chan error)
	const callers = 16
	for range callers {
		go func() {
			for range 100 {
				if _, err := r.unary(s.ctx(), "inline", []byte("x")); err != nil {
					errs <- err
					return
				}
			}
			_, err := r.unary(s.ctx(), "fails", nil)
			if rpcnet.CodeOf(err) != rpcnet.CodeNotFound {
				errs <- err
				return
			}
			errs <- nil
		}()
	}
	for range callers {
		if err := <-errs; err != nil {
			s.Error(err)
		}
	}
	// The request of a stream on an inline procedure comes later, so the handler
	// must not run in the goroutine that reads frames.
	c := r.open(s.ctx(), "inline", codegen.ShapeBidi)
	if err := c.send([]byte("a")); err != nil {
		s.Fatal(err)
	}
	if out, err := r.unary(s.ctx(), "unary", []byte("b")); err != nil || string(out) != "b" {
		s.Fatal(out, err)
	}
	s.want(c.peer, []byte("a"))
})
