package failover_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/failover"
	"github.com/rpcnet-go/rpcnet/internal/hook"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ms = time.Millisecond

// A fakeWorker serves in the same process.
type fakeWorker struct {
	name string
	// refuse, if not nil, sees each call before its handler.
	refuse func() error
	// serve sends what follows first; asked are the requests.
	serve func(ctx context.Context, first uint64, s rpcnet.ServerStream) error
	// answer answers a unary call.
	answer func(ctx context.Context) ([]byte, error)
	// methods are served too.
	methods []method
	frozen  atomic.Bool // probes have no answer
	calls   atomic.Int32
	probes  atomic.Int32
	ended   []error       // how the attempts ended
	connect time.Duration // how long it takes to connect
	givenUp atomic.Bool   // while it was connected to
	// stream, if not nil, is in place of what serve and answer would do.
	stream func() rpcnet.ClientStream
	tr     rpcnet.Transport
}

// A fakeCluster is a client of workers, of which the first is chosen that is not
// excluded.
type fakeCluster struct {
	*failover.Client
	workers []*fakeWorker
	timeout time.Duration // for resuming
	// short says that ask and play make unary calls by their short cut.
	short bool

	mu     sync.Mutex
	events []failover.Event // of streams that are resumed
}

// newFakeCluster returns a client of workers. A stream waits for timeout.
func newFakeCluster(t testing.TB, cfg failover.Config, workers ...*fakeWorker) *fakeCluster {
	f := &fakeCluster{workers: workers, timeout: cfg.ResumeTimeout}
	cfg.OnEvent = func(_ context.Context, e failover.Event) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.events = append(f.events, e)
	}
	var err error
	if f.Client, err = failover.NewClient(cfg, f, nil); err != nil {
		t.Fatal(err)
	}
	return f
}

// bubble runs a test of workers in a synctest bubble.
func bubble(t *testing.T, f func(t *testing.T, c *fakeCluster), workers ...*fakeWorker) {
	bubbleOf(t, failover.Config{ResumeTimeout: 10 * time.Second}, f, workers...)
}

// eachWay runs a test of unary calls with a stream for each call, and with their short
// cut.
func eachWay(t *testing.T, f func(t *testing.T, c *fakeCluster), workers func() []*fakeWorker) {
	for _, short := range []bool{false, true} {
		t.Run(fmt.Sprintf("short=%v", short), func(t *testing.T) {
			bubble(t, func(t *testing.T, c *fakeCluster) { c.short = short; f(t, c) }, workers()...)
		})
	}
}

// bubbleOf runs a test of a client with a configuration of its own.
func bubbleOf(t *testing.T, cfg failover.Config, f func(t *testing.T, c *fakeCluster), workers ...*fakeWorker) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newFakeCluster(t, cfg, workers...)
		defer c.Close()
		defer serve(c)()
		f(t, c)
	})
}

// serve has the workers serve until the function it returns is called.
func serve(c *fakeCluster) (stop func()) {
	var trs []interface{ Close() error }
	for _, w := range c.workers {
		srv := rpcnet.NewServer(&rpcnet.ServerConfig{Interceptors: []func(rpcnet.ServerFunc) rpcnet.ServerFunc{func(next rpcnet.ServerFunc) rpcnet.ServerFunc {
			return func(ctx context.Context, spec *rpcnet.Spec, s rpcnet.ServerStream) error {
				w.calls.Add(1)
				if w.refuse != nil {
					if err := w.refuse(); err != nil {
						return err
					}
				}
				return next(ctx, spec, s)
			}
		}}})
		srv.Register(countSpec, func(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
			var req []byte
			if err := s.Recv(&req); err != nil {
				return err
			}
			return w.serve(ctx, number(req), s)
		})
		srv.Register(askSpec, func(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
			var req []byte
			if err := s.Recv(&req); err != nil {
				return err
			}
			out, err := w.answer(ctx)
			if err != nil {
				return err
			}
			return s.Send(out)
		})
		for _, m := range w.methods {
			srv.Register(m.spec, m.handler)
		}
		tr := rpcnet.InProcess(srv)
		trs = append(trs, tr)
		w.tr = tr
	}
	return func() {
		for _, tr := range trs {
			tr.Close()
		}
	}
}

func (f *fakeCluster) Pick(_ context.Context, _ *failover.Client, req *balance.PickRequest) (failover.Attempt, error) {
	for _, w := range f.workers {
		if !slices.Contains(req.Exclude, w.name) {
			return &fakeAttempt{f, w}, nil
		}
	}
	return nil, rpcnet.NewError(rpcnet.CodeUnavailable, "nobody").WithCause(failover.ErrNoWorker).WithUnprocessed()
}

// calls returns how many calls the workers have had.
func (f *fakeCluster) calls() (n int32) {
	for _, w := range f.workers {
		n += w.calls.Load()
	}
	return n
}

type fakeAttempt struct {
	f *fakeCluster
	w *fakeWorker
}

func (a *fakeAttempt) Worker() failover.Worker {
	return failover.Worker{Target: rpcnet.Target{Node: a.w.name}}
}

func (a *fakeAttempt) Open(ctx context.Context, spec *rpcnet.Spec, number int) (rpcnet.ClientStream, error) {
	if a.w.stream != nil {
		return a.w.stream(), nil
	}
	if a.w.connect > 0 {
		if err := sleep(ctx, a.w.connect); err != nil {
			a.w.givenUp.Store(true)
			return nil, rpcnet.NewError(rpcnet.CodeOf(err), "connecting").WithUnprocessed()
		}
	}
	return rpcnet.NewClient(a.w.tr, &rpcnet.ClientConfig{Call: rpcnet.CallOptions{Attempt: number}}).NewStream(ctx, spec)
}

func (a *fakeAttempt) Call(ctx context.Context, call hook.RoutedUnary[*rpcnet.Conn], number int) error {
	if a.w.connect > 0 {
		if err := sleep(ctx, a.w.connect); err != nil {
			a.w.givenUp.Store(true)
			return rpcnet.NewError(rpcnet.CodeOf(err), "connecting").WithUnprocessed()
		}
	}
	return call.Open(ctx, a.w.tr.(*rpcnet.Conn), nil, number)
}

func (a *fakeAttempt) Probe(ctx context.Context) error {
	a.w.probes.Add(1)
	if a.w.frozen.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (a *fakeAttempt) End(err error) {
	a.f.mu.Lock()
	defer a.f.mu.Unlock()
	a.w.ended = append(a.w.ended, err)
}

// A method is a procedure of a fakeWorker.
type method struct {
	spec    *rpcnet.Spec
	handler rpcnet.ServerFunc
}

// countSpec is a resumable stream: requests and responses are numbers, the
// first request is the number to begin with.
var countSpec = &rpcnet.Spec{
	Procedure: "count", Shape: codegen.ShapeBidi,
	Resume: &codegen.Resume{
		Sequence: func(res any) uint64 { return number(bytesOf(res)) },
		From:     func(_ any, next uint64) any { return bytes(next) },
	},
}

func bytesOf(res any) []byte {
	switch b := res.(type) {
	case []byte:
		return b
	case *[]byte:
		return *b
	}
	panic("no message")
}

// askSpec is an idempotent unary call.
var askSpec = &rpcnet.Spec{Procedure: "ask", Idempotency: codegen.IdempotencyNoSideEffects}

func bytes(n uint64) []byte  { return binary.BigEndian.AppendUint64(nil, n) }
func number(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// upTo serves numbers up to last, one every pace; at, if not nil, sees each
// before it is sent.
func upTo(last uint64, pace time.Duration, at func(n uint64) error) func(context.Context, uint64, rpcnet.ServerStream) error {
	return func(ctx context.Context, first uint64, s rpcnet.ServerStream) error {
		for n := first; n <= last; n++ {
			if at != nil {
				if err := at(n); err != nil {
					return err
				}
			}
			if err := s.Send(bytes(n)); err != nil {
				return err
			}
			if err := sleep(ctx, pace); err != nil {
				return err
			}
		}
		return nil
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hang is what a frozen worker does.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// open starts a call.
func open(ctx context.Context, t *testing.T, c rpcnet.Transport, spec *rpcnet.Spec) rpcnet.ClientStream {
	t.Helper()
	s, err := c.NewStream(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// count opens a stream and returns how many numbers came and after which time
// and with which error it ended, nil for the clean end.
func count(ctx context.Context, t *testing.T, c rpcnet.Transport) (n uint64, took time.Duration, err error) {
	t.Helper()
	begin := time.Now()
	s := open(ctx, t, c, countSpec)
	defer s.Close()
	if err := codegen.SendOne(s, bytes(1)); err != nil {
		return 0, time.Since(begin), err
	}
	for {
		var b []byte
		if err = s.Recv(&b); err != nil {
			break
		}
		if n++; number(b) != n {
			t.Fatalf("got %d, want %d", number(b), n)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return n, time.Since(begin), err
}

// ask makes a unary call.
func ask(ctx context.Context, c rpcnet.Transport, spec *rpcnet.Spec) (answer string, took time.Duration, err error) {
	begin := time.Now()
	var b []byte
	if f, ok := c.(*fakeCluster); ok && f.short {
		err = f.CallUnary(ctx, spec, []byte{}, &b)
		return string(b), time.Since(begin), err
	}
	s, err := c.NewStream(ctx, spec)
	if err != nil {
		return "", 0, err
	}
	defer s.Close()
	if err = codegen.SendOne(s, []byte{}); err == nil {
		err = hook.RecvOne(s, &b)
	}
	return string(b), time.Since(begin), err
}

func says(name string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return []byte(name), nil }
}

func wantCode(t *testing.T, err error, want rpcnet.Code) {
	t.Helper()
	var e *rpcnet.Error
	if !errors.As(err, &e) || e.Code() != want {
		t.Errorf("got %v, want %v", err, want)
	}
}
