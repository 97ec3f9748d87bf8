package conformance

import (
	"context"
	"errors"
	"io"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
)

// A server that drains lets running calls finish and informs their handlers. It
// refuses new calls as unprocessed, so that clients can make them elsewhere.
var _ = register("DrainWithCallsInFlight", func(s *suite) {
	g := newGate()
	heard := make(chan struct{})
	r := s.rig(append(s.shapes(), s.method("hold", codegen.ShapeUnary, func(ctx context.Context, p peer) error {
		g.hold(ctx)
		return echoOnce(ctx, p)
	}), s.method("polite", codegen.ShapeBidi, func(ctx context.Context, p peer) error {
		if err := p.send([]byte("hello")); err != nil {
			return err
		}
		<-rpcnet.ServerCallFrom(ctx).Draining()
		close(heard)
		return echo(ctx, p)
	})), nil)
	if r.link.Drain == nil {
		s.Skip("the server of this transport does not drain")
	}
	held := make(chan error, 1)
	go func() {
		out, err := r.unary(s.ctx(), "hold", []byte("to the end"))
		if err == nil && string(out) != "to the end" {
			err = errors.New(string(out))
		}
		held <- err
	}()
	hctx := s.entered(g)
	c := r.open(s.ctx(), "polite", codegen.ShapeBidi)
	s.want(c.peer, []byte("hello"))
	late := r.open(s.ctx(), "bidi", codegen.ShapeBidi) // made before, sent after
	drained := make(chan error, 1)
	go func() { drained <- r.link.Drain(s.ctx()) }()
	<-heard
	refused := func(err error) {
		s.Helper()
		var e *rpcnet.Error
		if !errors.As(err, &e) || e.Code() != rpcnet.CodeUnavailable || !e.Unprocessed() {
			s.Errorf("a call to a draining server: %v", err)
		}
	}
	_, err := late.recv()
	refused(err)
	_, err = r.unary(s.ctx(), "unary", nil)
	refused(err)
	if err := c.send([]byte("goodbye")); err != nil {
		s.Fatal(err)
	}
	s.want(c.peer, []byte("goodbye"))
	if err := c.CloseSend(); err != nil {
		s.Fatal(err)
	}
	s.wantEnd(c.peer)
	if err := hctx.Err(); err != nil {
		s.Errorf("the drain has ended a call's context: %v", err)
	}
	select {
	case err := <-drained:
		s.Errorf("the drain is over with a call in flight: %v", err)
	default:
	}
	close(g.release)
	if err := <-held; err != nil {
		s.Errorf("the call in flight: %v", err)
	}
	if err := <-drained; err != nil {
		s.Errorf("the drain: %v", err)
	}
})

// A drain that runs out of time ends the calls that are left, and both sides see it.
var _ = register("DrainThatRunsOutOfTime", func(s *suite) {
	g := newGate()
	r := s.rig([]method{s.method("hold", codegen.ShapeBidi, func(ctx context.Context, p peer) error {
		g.entered <- ctx
		return wait(ctx, p)
	})}, nil)
	if r.link.Drain == nil {
		s.Skip("the server of this transport does not drain")
	}
	unary := make(chan error, 1)
	go func() { _, err := r.unary(s.ctx(), "hold", nil); unary <- err }()
	c := r.open(s.ctx(), "hold", codegen.ShapeBidi)
	if err := c.send(nil); err != nil {
		s.Fatal(err)
	}
	contexts := []context.Context{s.entered(g), s.entered(g)}
	ctx, cancel := context.WithCancel(s.ctx())
	cancel()
	if err := r.link.Drain(ctx); !errors.Is(err, context.Canceled) {
		s.Errorf("the drain: %v", err)
	}
	_, err := c.recv()
	for _, err := range []error{err, <-unary} {
		var e *rpcnet.Error
		if !errors.As(err, &e) || e.Code() != rpcnet.CodeUnavailable || e.Unprocessed() {
			s.Errorf("a call that was cut: %v", err)
		}
	}
	for _, ctx := range contexts {
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), rpcnet.ErrDraining) {
			s.Errorf("the handler's context ended because of %v", context.Cause(ctx))
		}
	}
})

// A lost connection fails the running calls, never with a clean end, and the
// transport reconnects by itself.
var _ = register("Reconnect", func(s *suite) {
	g := newGate()
	defer close(g.release)
	r := s.rig(append(s.shapes(), s.method("hold", codegen.ShapeUnary, func(ctx context.Context, p peer) error {
		g.hold(ctx)
		return echoOnce(ctx, p)
	})), nil)
	if r.link.Unsteady == nil {
		s.Skip("this transport has no connection to lose")
	}
	t, cut := r.link.Unsteady()
	r.transport, r.client = t, rpcnet.NewClient(t, nil)
	ready := rpcnet.NewClient(t, &rpcnet.ClientConfig{Call: rpcnet.CallOptions{WaitForReady: true}})
	for range 3 {
		out := r.target()
		if err := ready.Unary(s.ctx(), r.spec("unary", codegen.ShapeUnary), r.wrap([]byte("x")), out); err != nil {
			s.Fatal(err)
		}
		s.same(r.bytes(out), []byte("x"))
		held := make(chan error, 1)
		go func() { _, err := r.unary(s.ctx(), "hold", nil); held <- err }()
		hctx := s.entered(g)
		c := r.open(s.ctx(), "bidi", codegen.ShapeBidi)
		if err := c.send([]byte("x")); err != nil {
			s.Fatal(err)
		}
		s.want(c.peer, []byte("x"))
		fresh := r.open(s.ctx(), "bidi", codegen.ShapeBidi) // not sent yet
		cut()
		_, err := c.recv()
		for _, err := range []error{err, <-held} {
			var e *rpcnet.Error
			if err == io.EOF || !errors.As(err, &e) || e.Code() != rpcnet.CodeUnavailable || e.Unprocessed() {
				s.Errorf("a call that a handler saw, on a lost connection: %v", err)
			}
		}
		var e *rpcnet.Error
		if err := fresh.send(nil); !errors.As(err, &e) || e.Code() != rpcnet.CodeUnavailable || !e.Unprocessed() {
			s.Errorf("a call that was not sent, on a lost connection: %v", err)
		}
		<-hctx.Done()
	}
})
