package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
)

var _ = register("ServerSpeaksFirst", func(s *suite) {
	r := s.rig([]method{s.method("greets", codegen.ShapeBidi, func(ctx context.Context, p peer) error {
		for i := range 3 {
			if err := p.send([]byte{byte(i)}); err != nil {
				return err
			}
		}
		return echo(ctx, p)
	})}, nil)
	c := r.open(s.ctx(), "greets", codegen.ShapeBidi) // silent, and still the call begins
	for i := range 3 {
		s.want(c.peer, []byte{byte(i)})
	}
	if err := c.send([]byte("at last")); err != nil {
		s.Fatal(err)
	}
	s.want(c.peer, []byte("at last"))
	if err := c.CloseSend(); err != nil {
		s.Fatal(err)
	}
	s.wantEnd(c.peer)
})

var _ = register("ClientSpeaksFirstAndServerListensLate", func(s *suite) {
	g := newGate()
	r := s.rig([]method{s.method("late", codegen.ShapeBidi, func(ctx context.Context, p peer) error {
		g.hold(ctx)
		return echo(ctx, p)
	})}, nil)
	c := r.open(s.ctx(), "late", codegen.ShapeBidi)
	for i := range 100 {
		if err := c.send(pattern(i)); err != nil {
			s.Fatal(err)
		}
	}
	s.entered(g)
	close(g.release)
	for i := range 100 {
		s.want(c.peer, pattern(i))
	}
})

var _ = register("BothSidesStreamAtOnceWithFullWindows", func(s *suite) {
	const messages, size = 100, 100_000 // 10 MB: more than all windows together
	r := s.rig([]method{s.method("both", codegen.ShapeBidi, func(_ context.Context, p peer) error {
		sent := make(chan error, 1)
		go func() {
			for i := range messages {
				if err := p.send(pattern(size + i)); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		for i := range messages {
			m, err := p.recv()
			if err != nil {
				return err
			}
			if len(m) != size+i {
				return fmt.Errorf("message %d has %d bytes", i, len(m))
			}
		}
		return <-sent
	})}, &rpcnet.ServerConfig{ErrorText: true})
	for range 2 {
		c := r.open(s.ctx(), "both", codegen.ShapeBidi)
		sent := make(chan error, 1)
		go func() {
			for i := range messages {
				if err := c.send(pattern(size + i)); err != nil {
					sent <- err
					return
				}
			}
			sent <- c.CloseSend()
		}()
		for i := range messages {
			s.want(c.peer, pattern(size+i))
		}
		s.wantEnd(c.peer)
		if err := <-sent; err != nil {
			s.Error(err)
		}
	}
})

var _ = register("HandlerEndsWhileTheCallerSends", func(s *suite) {
	r := s.rig([]method{
		s.method("enough", codegen.ShapeBidi, echoOnce),
		s.method("no", codegen.ShapeBidi, func(_ context.Context, p peer) error {
			if _, err := p.recv(); err != nil {
				return err
			}
			return rpcnet.NewError(rpcnet.CodeOutOfRange, "no more")
		}),
		s.method("answer", codegen.ShapeClientStream, echoOnce),
	}, nil)
	for name, want := range map[string]error{"enough": nil, "no": errors.New("no more"), "answer": nil} {
		shape := codegen.ShapeBidi
		if name == "answer" {
			shape = codegen.ShapeClientStream
		}
		c := r.open(s.ctx(), name, shape)
		var err error
		for n := 0; err == nil; n++ { // far past every window: Send must be told
			err = c.send(pattern(10_000))
		}
		if err != io.EOF {
			s.Errorf("%s: Send after the end of the call = %v, want io.EOF", name, err)
		}
		if err := c.CloseSend(); err != nil && err != io.EOF {
			s.Errorf("%s: CloseSend after the end of the call = %v", name, err)
		}
		if want != nil {
			_, err := c.recv()
			s.wantCode(err, rpcnet.CodeOutOfRange)
			continue
		}
		s.want(c.peer, pattern(10_000))
		s.wantEnd(c.peer)
	}
})

var _ = register("CloseByTheCallerCancelsTheHandler", func(s *suite) {
	ended := make(chan error, 1)
	causes := make(chan error, 1)
	r := s.rig([]method{s.method("talk", codegen.ShapeBidi, func(ctx context.Context, p peer) error {
		if err := p.send([]byte("hello")); err != nil {
			return err
		}
		_, err := p.recv()
		ended <- err
		causes <- ctx.Err()
		return err
	})}, nil)
	c := r.open(s.ctx(), "talk", codegen.ShapeBidi)
	s.want(c.peer, []byte("hello"))
	recv := make(chan error, 1)
	go func() {
		_, err := c.recv()
		recv <- err
	}()
	c.Close()
	c.Close()
	s.wantCode(<-recv, rpcnet.CodeCanceled)
	s.wantCode(<-ended, rpcnet.CodeCanceled)
	if err := <-causes; !errors.Is(err, context.Canceled) {
		s.Errorf("the handler's context: %v", err)
	}
	if err := c.send(nil); err == nil {
		s.Error("Send works after Close")
	}
	s.eventually("no call in flight", func() bool { return r.stats().InFlight == 0 })
})

// phases returns calls that are held in each phase of a call, to end them there.
func (s *suite) phases() map[string]func(r *rig, ctx context.Context) error {
	return map[string]func(*rig, context.Context) error{
		"unary waits": func(r *rig, ctx context.Context) error {
			_, err := r.unary(ctx, "wait", []byte("x"))
			return err
		},
		"unary sends more than the window": func(r *rig, ctx context.Context) error {
			_, err := r.unary(ctx, "deaf", pattern(3<<20))
			return err
		},
		"stream receives": func(r *rig, ctx context.Context) error {
			c := r.open(ctx, "wait", codegen.ShapeBidi)
			_, err := c.recv()
			return err
		},
		"stream receives after the end of sending": func(r *rig, ctx context.Context) error {
			c := r.open(ctx, "wait", codegen.ShapeBidi)
			if err := c.CloseSend(); err != nil {
				return err
			}
			_, err := c.recv()
			return err
		},
		"stream sends against a full window": func(r *rig, ctx context.Context) error {
			c := r.open(ctx, "wait", codegen.ShapeBidi)
			for {
				if err := c.send(pattern(5000)); err == io.EOF { // the server's clock was faster
					_, err := c.recv()
					return err
				} else if err != nil {
					return err
				}
			}
		},
		"large message against a full window": func(r *rig, ctx context.Context) error {
			c := r.open(ctx, "wait", codegen.ShapeBidi)
			err := c.send(pattern(3 << 20))
			if err == io.EOF {
				_, err = c.recv()
			}
			return err
		},
	}
}

// ends are the ways in which a context ends, with the codes that both sides see.
var ends = []struct {
	name string
	end  func(context.Context) (context.Context, context.CancelFunc)
	code rpcnet.Code
	is   error
}{
	{"cancel", func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		t := time.AfterFunc(50*time.Millisecond, cancel)
		return ctx, func() { t.Stop(); cancel() }
	}, rpcnet.CodeCanceled, context.Canceled},
	{"deadline", func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, 50*time.Millisecond)
	}, rpcnet.CodeDeadlineExceeded, context.DeadlineExceeded},
	{"distant deadline", func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, 150*time.Millisecond)
	}, rpcnet.CodeDeadlineExceeded, context.DeadlineExceeded},
}

var _ = register("ContextEndsInEveryPhase", func(s *suite) {
	var begun, ended atomic.Int64
	h := func(ctx context.Context, p peer) error {
		begun.Add(1)
		defer ended.Add(1)
		err := wait(ctx, p)
		// The server's own clock may tell before the caller does.
		if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			s.Errorf("the handler's context ended with %v", err)
		}
		return err
	}
	r := s.rig([]method{s.method("wait", codegen.ShapeBidi, h), s.method("deaf", codegen.ShapeUnary, h), s.method("unary", codegen.ShapeUnary, echoOnce)}, nil)
	for _, e := range ends {
		for phase, f := range s.phases() {
			ctx, cancel := e.end(s.ctx())
			err := f(r, ctx)
			if rpcnet.CodeOf(err) != e.code || !errors.Is(err, e.is) {
				s.Errorf("%s while %s: %v, want %v and errors.Is(%v)", e.name, phase, err, e.code, e.is)
			}
			cancel()
			s.eventually("the handler's context ends: "+e.name+" while "+phase, func() bool { return begun.Load() == ended.Load() })
		}
	}
	if n := begun.Load(); n < 10 {
		s.Errorf("only %d of the calls had reached their handlers", n)
	}
	// The session still works.
	if out, err := r.unary(s.ctx(), "unary", []byte("still")); err != nil || string(out) != "still" {
		s.Error(out, err)
	}
	s.eventually("nothing in flight, nothing buffered", func() bool {
		st := r.stats()
		return st.InFlight == 0 && st.Buffered == 0
	})
})

var _ = register("ContextEndsBeforeTheCall", func(s *suite) {
	called := false
	h := func(context.Context, peer) error { called = true; return nil }
	r := s.rig([]method{s.method("never", codegen.ShapeBidi, h)}, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := r.unary(ctx, "never", nil)
	s.wantCode(err, rpcnet.CodeCanceled)
	_, err = r.client.NewStream(ctx, r.spec("never", codegen.ShapeBidi))
	s.wantCode(err, rpcnet.CodeCanceled)
	ctx, cancel = context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	_, err = r.unary(ctx, "never", nil)
	s.wantCode(err, rpcnet.CodeDeadlineExceeded)
	if called {
		s.Error("a handler was called")
	}
})

var _ = register("DeadlineReachesTheHandler", func(s *suite) {
	left := make(chan time.Duration, 1)
	h := func(ctx context.Context, p peer) error {
		d, ok := ctx.Deadline()
		if !ok {
			left <- -1
		} else {
			left <- time.Until(d)
		}
		return echoOnce(ctx, p)
	}
	r := s.rig([]method{s.method("left", codegen.ShapeUnary, h)}, nil)
	if _, err := r.unary(context.Background(), "left", nil); err != nil {
		s.Fatal(err)
	}
	if d := <-left; d != -1 {
		s.Errorf("a call without a deadline has %v left", d)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if _, err := r.unary(ctx, "left", nil); err != nil {
		s.Fatal(err)
	}
	if d := <-left; d <= 59*time.Minute || d > time.Hour+time.Minute {
		s.Errorf("a call with an hour has %v left", d)
	}
	spec := r.spec("left", codegen.ShapeUnary)
	spec.Timeout = 30 * time.Minute
	for _, c := range []rpcnet.Transport{r.client, rpcnet.NewClient(r.client, nil)} {
		if err := rpcnet.NewClient(c, nil).Unary(context.Background(), spec, r.wrap(nil), r.target()); err != nil {
			s.Fatal(err)
		}
		if d := <-left; d <= 29*time.Minute || d > 31*time.Minute {
			s.Errorf("a call of a procedure with a time-out of 30m has %v left", d)
		}
	}
})

var _ = register("HandlerThatNeverReadsStopsOnlyItsCaller", func(s *suite) {
	r := s.rig(append(s.shapes(), s.method("deaf", codegen.ShapeBidi, wait)), nil)
	ctx, cancel := context.WithCancel(s.ctx())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range 5 {
		c := r.open(ctx, "deaf", codegen.ShapeBidi)
		wg.Add(1)
		go func() {
			defer wg.Done()
			for c.send(pattern(50_000)) == nil {
			}
		}()
	}
	for range 5 {
		for _, n := range []int{10, 100_000, 1 << 20} {
			out, err := r.unary(s.ctx(), "unary", pattern(n))
			if err != nil {
				s.Fatal(err)
			}
			s.same(out, pattern(n))
		}
	}
})

var _ = register("CallerThatNeverReadsStopsOnlyItsHandler", func(s *suite) {
	var sent sync.WaitGroup
	r := s.rig(append(s.shapes(), s.method("flood", codegen.ShapeServerStream, func(ctx context.Context, p peer) error {
		defer sent.Done()
		m := pattern(1000)
		for {
			if err := p.send(m); err != nil {
				return err
			}
		}
	}), s.method("flood of nothing", codegen.ShapeServerStream, func(ctx context.Context, p peer) error {
		defer sent.Done()
		for {
			if err := p.send(nil); err != nil {
				return err
			}
		}
	}), s.method("flood of boulders", codegen.ShapeServerStream, func(ctx context.Context, p peer) error {
		defer sent.Done()
		m := pattern(1 << 20)
		for {
			if err := p.send(m); err != nil {
				return err
			}
		}
	})), nil)
	ctx, cancel := context.WithCancel(s.ctx())
	defer cancel()
	names := []string{"flood", "flood of nothing", "flood of boulders"}
	const each, window = 3, 256 << 10
	for _, name := range names {
		for range each {
			sent.Add(1)
			if err := r.open(ctx, name, codegen.ShapeServerStream).send(nil); err != nil {
				s.Fatal(err)
			}
		}
	}
	limit := int64(len(names) * each * window)
	most := int64(0)
	for range 20 {
		out, err := r.unary(s.ctx(), "unary", pattern(100_000))
		if err != nil {
			s.Fatal(err)
		}
		s.same(out, pattern(100_000))
		if b := r.stats().Buffered; b > limit+100_000 {
			s.Fatalf("%d bytes are buffered, the windows allow %d", b, limit)
		} else {
			most = max(most, b)
		}
	}
	s.eventually("the windows are full", func() bool { return r.stats().Buffered > limit/3 })
	cancel()
	sent.Wait()
	s.eventually("nothing is buffered", func() bool { return r.stats().Buffered == 0 })
})

var _ = register("TenThousandConcurrentStreams", func(s *suite) {
	if s.String() == "typed" {
		s.Skip("streams are the same to both: once is enough")
	}
	const n = 10_000
	g := newGate()
	r := s.rig([]method{s.method("hold", codegen.ShapeBidi, func(ctx context.Context, p peer) error {
		m, err := p.recv()
		if err != nil {
			return err
		}
		g.hold(ctx)
		return p.send(m)
	})}, nil)
	calls := make([]*caller, n)
	ctx := s.ctx()
	for i := range calls {
		st, err := r.client.NewStream(ctx, r.spec("hold", codegen.ShapeBidi))
		if err != nil {
			s.Fatal(err)
		}
		calls[i] = s.caller(st)
		if err := calls[i].send(fmt.Appendf(nil, "call %d", i)); err != nil {
			s.Fatal(err)
		}
	}
	s.eventually("all handlers run at once", func() bool { return g.inside.Load() == n })
	if got := r.stats().InFlight; got != n {
		s.Errorf("%d calls in flight, want %d", got, n)
	}
	close(g.release)
	for i, c := range calls {
		s.want(c.peer, fmt.Appendf(nil, "call %d", i))
		s.wantEnd(c.peer)
	}
	s.eventually("nothing in flight", func() bool { return r.stats().InFlight == 0 })
})

var _ = register("SendAfterCloseSendFails", func(s *suite) {
	r := s.rig(s.shapes(), nil)
	c := r.open(s.ctx(), "bidi", codegen.ShapeBidi)
	if err := c.CloseSend(); err != nil {
		s.Fatal(err)
	}
	if err := c.CloseSend(); err != nil {
		s.Errorf("the second CloseSend: %v", err)
	}
	if err := c.send([]byte("x")); err == nil || isEOF(err) {
		s.Errorf("Send after CloseSend = %v, want an error that is not io.EOF", err)
	}
	s.wantEnd(c.peer)
})
