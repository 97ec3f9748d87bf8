package failover_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/failover"
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
	methods []rpcnet.Method
	frozen  atomic.Bool // probes have no answer
	calls   atomic.Int32
	probes  atomic.Int32
	ended   []error // how the tries ended
	// stream, if not nil, is in place of what serve and answer would do.
	stream func() rpcnet.ClientStream
	tr     rpcnet.Transport
}

// A fakeSource chooses the first worker that is not excluded.
type fakeSource struct {
	workers  []*fakeWorker
	patience time.Duration
	tokens   int
	watch    failover.Watch

	mu     sync.Mutex
	events []failover.Event
}

// bubble runs a test of workers in a synctest bubble.
func bubble(t *testing.T, f func(t *testing.T, src *fakeSource), workers ...*fakeWorker) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{workers: workers, patience: 10 * time.Second, tokens: 10}
		for _, w := range workers {
			srv := rpcnet.NewServer(rpcnet.WithServerInterceptors(func(next rpcnet.ServerFunc) rpcnet.ServerFunc {
				return func(ctx context.Context, spec *rpcnet.Spec, s rpcnet.ServerStream) error {
					w.calls.Add(1)
					if w.refuse != nil {
						if err := w.refuse(); err != nil {
							return err
						}
					}
					return next(ctx, spec, s)
				}
			}))
			srv.Register(
				rpcnet.Method{Spec: countSpec, Handler: func(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
					var req []byte
					if err := s.Recv(&req); err != nil {
						return err
					}
					return w.serve(ctx, number(req), s)
				}},
				rpcnet.Method{Spec: askSpec, Handler: func(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
					var req []byte
					if err := s.Recv(&req); err != nil {
						return err
					}
					out, err := w.answer(ctx)
					if err != nil {
						return err
					}
					return s.Send(out)
				}})
			srv.Register(w.methods...)
			tr := rpcnet.InProcess(srv)
			defer tr.Close()
			w.tr = tr
		}
		f(t, src)
	})
}

func (s *fakeSource) Next(_ context.Context, w *failover.Wish) (failover.Leg, error) {
	for _, o := range s.workers {
		if !slices.Contains(w.Exclude, o.name) {
			return &fakeLeg{s, o}, nil
		}
	}
	return nil, rpcnet.NewError(rpcnet.CodeUnavailable, "nobody").WithCause(failover.ErrNoWorker).WithUnprocessed()
}

func (s *fakeSource) Retry() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens--
	return s.tokens >= 0
}

func (s *fakeSource) Answered(failover.Leg) {}

func (s *fakeSource) Tell(_ context.Context, e failover.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *fakeSource) Patience() time.Duration { return s.patience }
func (s *fakeSource) MaxAttempts() int        { return 4 }
func (s *fakeSource) Retryable(err error) bool {
	return rpcnet.CodeOf(err) == rpcnet.CodeUnavailable
}
func (s *fakeSource) Watch() *failover.Watch { return &s.watch }

// calls returns how many calls the workers have had.
func (s *fakeSource) calls() (n int32) {
	for _, w := range s.workers {
		n += w.calls.Load()
	}
	return n
}

type fakeLeg struct {
	src *fakeSource
	w   *fakeWorker
}

func (l *fakeLeg) Worker() string { return l.w.name }

func (l *fakeLeg) Open(ctx context.Context, spec *rpcnet.Spec, attempt int) (rpcnet.ClientStream, error) {
	if l.w.stream != nil {
		return l.w.stream(), nil
	}
	return rpcnet.NewClient(l.w.tr, &rpcnet.ClientConfig{Call: rpcnet.CallOptions{Attempt: attempt}}).NewStream(ctx, spec)
}

func (l *fakeLeg) Probe(ctx context.Context) error {
	l.w.probes.Add(1)
	if l.w.frozen.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (l *fakeLeg) End(err error, _ bool) {
	l.src.mu.Lock()
	defer l.src.mu.Unlock()
	l.w.ended = append(l.w.ended, err)
}

// countSpec is a resumable stream: requests and responses are numbers, the
// first request is the number to begin with.
var countSpec = &rpcnet.Spec{
	Procedure: "count", Shape: rpcnet.Bidi,
	Resume: &rpcnet.Resume{
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
var askSpec = &rpcnet.Spec{Procedure: "ask", Idempotency: rpcnet.NoSideEffects}

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

// count opens a stream and returns how many numbers came and after which time
// and with which error it ended, nil for the clean end.
func count(ctx context.Context, t *testing.T, src failover.Source) (n uint64, took time.Duration, err error) {
	t.Helper()
	begin := time.Now()
	s := failover.NewResumable(ctx, src, countSpec, failover.Wish{})
	defer s.Close()
	if err := rpcnet.SendOne(s, bytes(1)); err != nil {
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
func ask(ctx context.Context, src failover.Source, spec *rpcnet.Spec) (answer string, took time.Duration, err error) {
	begin := time.Now()
	s := failover.NewStream(ctx, src, spec, failover.Wish{}, false)
	defer s.Close()
	var b []byte
	if err = rpcnet.SendOne(s, []byte{}); err == nil {
		err = rpcnet.RecvOne(s, &b)
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
