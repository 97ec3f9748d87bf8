package failover_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/failover"
)

// The calls that the scenarios are played with.
var (
	onceSpec   = &rpcnet.Spec{Procedure: "once"}
	againSpec  = &rpcnet.Spec{Procedure: "again", Idempotency: codegen.IdempotencyNoSideEffects}
	streamSpec = &rpcnet.Spec{Procedure: "stream", Shape: codegen.ShapeServerStream}
	resumeSpec = &rpcnet.Spec{Procedure: "resume", Shape: codegen.ShapeServerStream, Resume: countSpec.Resume}
)

// TestScenarios plays what can end an attempt on the first worker, a, with each kind
// of call. The second worker, b, is well. A result is which workers were asked, how
// many messages came, and how the call ended; "$" says that a token was paid.
//
// A unary call has one message and a stream three.
func TestScenarios(t *testing.T) {
	status := func(c rpcnet.Code) *rpcnet.Error { return rpcnet.NewError(c, "scripted") }
	frozen := errors.New("no answer")
	for _, s := range []struct {
		name  string
		after int   // how many messages a sends before its end
		end   error // of a's handler
		// what becomes of a call that can be made once, of an idempotent one, of a
		// stream, and of a resumable one
		once, again, stream, resumed string
	}{
		{name: "is well", after: 3, once: "a 1 ok", again: "a 1 ok", stream: "a 3 ok", resumed: "a 3 ok"},
		{name: "has no room", end: errFull, once: "ab 1 ok", again: "ab 1 ok", stream: "ab 3 ok", resumed: "ab 3 ok"},
		{name: "drains", end: errDraining, once: "ab 1 ok", again: "ab 1 ok", stream: "ab 3 ok", resumed: "ab 3 ok"},
		{name: "hands over", end: failover.MovedError(0), once: "ab 1 ok", again: "ab 1 ok", stream: "ab 3 ok", resumed: "ab 3 ok"},
		{name: "says that the call is over a limit", end: status(rpcnet.CodeResourceExhausted).WithUnprocessed(),
			once: "ab 1 ok", again: "ab 1 ok", stream: "ab 3 ok", resumed: "ab 3 ok"},
		{name: "does not know the caller", end: status(rpcnet.CodeUnauthenticated).WithUnprocessed(),
			once: "ab 1 ok", again: "ab 1 ok", stream: "ab 3 ok", resumed: "a 0 Unauthenticated"},
		{name: "fails", end: errFailed,
			once: "a 0 Unavailable", again: "ab 1 ok $", stream: "a 0 Unavailable", resumed: "ab 3 ok"},
		{name: "refuses within the handler", end: status(rpcnet.CodeFailedPrecondition),
			once: "a 0 FailedPrecondition", again: "a 0 FailedPrecondition", stream: "a 0 FailedPrecondition", resumed: "a 0 FailedPrecondition"},
		{name: "does not answer", end: frozen,
			once: "a 0 DeadlineExceeded", again: "ab 1 ok $", stream: "a 0 DeadlineExceeded", resumed: "ab 3 ok"},
		{name: "fails after a message", after: 1, end: errFailed, stream: "a 1 Unavailable", resumed: "ab 3 ok"},
		{name: "hands over after a message", after: 1, end: failover.MovedError(1), stream: "a 1 Unavailable", resumed: "ab 3 ok"},
		{name: "falls silent after a message", after: 1, end: frozen, stream: "a 1 DeadlineExceeded", resumed: "ab 3 ok"},
		{name: "fails after the last message", after: 3, end: errFailed, stream: "a 3 Unavailable", resumed: "ab 3 ok"},
	} {
		for _, c := range []struct {
			spec *rpcnet.Spec
			want string
		}{{onceSpec, s.once}, {againSpec, s.again}, {streamSpec, s.stream}, {resumeSpec, s.resumed}} {
			if c.want == "" {
				continue // a unary call ends with its message
			}
			t.Run(s.name+"/"+c.spec.Procedure, func(t *testing.T) {
				eachWay(t, func(t *testing.T, f *fakeCluster) {
					if got := play(t, f, c.spec); got != c.want {
						t.Errorf("got %q, want %q", got, c.want)
					}
				}, func() []*fakeWorker {
					a := playing("a", s.after, s.end)
					a.frozen.Store(s.end == frozen)
					return []*fakeWorker{a, playing("b", 3, nil)}
				})
			})
		}
	}
}

// playing returns a worker that sends messages until it has sent the one with the
// number last, and ends with err. Without a known code, err has it hang.
func playing(name string, last int, err error) *fakeWorker {
	w := &fakeWorker{name: name, refuse: func() error {
		var e *rpcnet.Error
		if errors.As(err, &e) && e.Unprocessed() {
			return e
		}
		return nil
	}}
	for _, spec := range []*rpcnet.Spec{onceSpec, againSpec, streamSpec, resumeSpec} {
		w.methods = append(w.methods, method{spec: spec, handler: func(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
			var req []byte
			if err := s.Recv(&req); err != nil {
				return err
			}
			n, last := number(req), uint64(last)
			if spec.Shape == codegen.ShapeUnary {
				last = min(last, 1)
			}
			for ; n <= last; n++ {
				if err := s.Send(bytes(n)); err != nil {
					return err
				}
			}
			if err != nil && rpcnet.CodeOf(err) == rpcnet.CodeUnknown {
				return hang(ctx)
			}
			return err
		}})
	}
	return w
}

// play makes a call and returns what came of it.
func play(t *testing.T, f *fakeCluster, spec *rpcnet.Spec) string {
	ctx, cancel := context.WithTimeout(t.Context(), f.timeout)
	defer cancel()
	tokens := f.BudgetLeft()
	var n uint64
	var err error
	if f.short && spec.Shape == codegen.ShapeUnary {
		if err = f.CallUnary(ctx, spec, bytes(1), new([]byte)); err == nil {
			n, err = 1, io.EOF
		}
	} else {
		n, err = playStream(ctx, t, f, spec)
	}
	end := "ok"
	if err != io.EOF {
		end = rpcnet.CodeOf(err).String()
	}
	if f.BudgetLeft() < tokens {
		end += " $"
	}
	var asked strings.Builder
	for _, w := range f.workers {
		asked.WriteString(strings.Repeat(w.name, int(w.calls.Load())))
	}
	return fmt.Sprintf("%s %d %s", &asked, n, end)
}

// playStream makes a call of any shape and returns how many messages came, and its end.
func playStream(ctx context.Context, t *testing.T, f *fakeCluster, spec *rpcnet.Spec) (n uint64, err error) {
	s := open(ctx, t, f, spec)
	defer s.Close()
	err = codegen.SendOne(s, bytes(1))
	for err == nil {
		var b []byte
		if err = s.Recv(&b); err == nil {
			if n++; number(b) != n {
				t.Errorf("message %d in place of %d", number(b), n)
			}
		}
	}
	return n, err
}
