package rpcnet_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// An endedCall is what a server's interceptor sees of a call that has ended.
type endedCall struct {
	procedure       string
	err, ctx, cause error
}

// watchEnds is an interceptor that keeps what it sees.
func watchEnds(mu *sync.Mutex, ends *[]endedCall) func(rpcnet.ServerFunc) rpcnet.ServerFunc {
	return func(next rpcnet.ServerFunc) rpcnet.ServerFunc {
		return func(ctx context.Context, spec *rpcnet.Spec, st rpcnet.ServerStream) error {
			err := next(ctx, spec, st)
			mu.Lock()
			defer mu.Unlock()
			*ends = append(*ends, endedCall{spec.Procedure, err, ctx.Err(), context.Cause(ctx)})
			return err
		}
	}
}

// A caller whose deadline has passed and the server's own timer race each other.
// Whoever wins, the server sees a deadline and no cancellation: in the error of
// the handler, in its context and in contexts that are made of it.
func TestFieldADeadlineIsADeadline(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var ends []endedCall
	srv := echoServer(&rpcnet.ServerConfig{Interceptors: []func(rpcnet.ServerFunc) rpcnet.ServerFunc{watchEnds(&mu, &ends)}})
	srv.Handle("derived", func(ctx context.Context, _ []byte) ([]byte, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	})
	srv.HandleStream("pour", func(_ context.Context, st rpcnet.ServerStream) error {
		for {
			if err := st.Send(make([]byte, 8<<10)); err != nil {
				return err
			}
		}
	})
	ep := rpctest.Serve(t, srv, nil)
	conn := rpctest.Dial(t, ep.Addr().String(), nil)
	calls := map[string]func(ctx context.Context){
		"wait":    func(ctx context.Context) { rpcnet.CallRaw(ctx, conn, "wait", nil) },
		"derived": func(ctx context.Context) { rpcnet.CallRaw(ctx, conn, "derived", nil) },
		"talk":    func(ctx context.Context) { untilItEnds(ctx, conn, "talk", true) },
		"pour":    func(ctx context.Context) { untilItEnds(ctx, conn, "pour", false) },
	}
	const each = 150
	var wg sync.WaitGroup
	for _, call := range calls {
		wg.Go(func() {
			for i := range each {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(3+i%5)*time.Millisecond)
				call(ctx)
				cancel()
			}
		})
	}
	wg.Wait()
	eventually(t, "all calls have ended", func() bool { return ep.Stats().Streams == 0 })
	mu.Lock()
	defer mu.Unlock()
	seen := map[string]int{}
	for _, e := range ends {
		seen[e.procedure]++
		if rpcnet.CodeOf(e.err) != rpcnet.CodeDeadlineExceeded || e.ctx != context.DeadlineExceeded || e.cause != context.DeadlineExceeded {
			t.Errorf("%s: the server sees error %v, context %v, cause %v", e.procedure, e.err, e.ctx, e.cause)
		}
	}
	for procedure := range calls {
		if seen[procedure] == 0 {
			t.Errorf("no call of %s has reached its handler", procedure)
		}
	}
}

// untilItEnds opens a stream that its deadline ends. It receives if recv says so.
func untilItEnds(ctx context.Context, tr rpcnet.Transport, procedure string, recv bool) {
	st, err := tr.NewStream(ctx, bidi(procedure))
	if err != nil {
		return
	}
	defer st.Close()
	if st.Send([]byte("x")) != nil {
		return
	}
	var m []byte
	for recv && st.Recv(&m) == nil {
	}
	<-ctx.Done()
}

// A call that is cancelled before its deadline is no expired one.
func TestACancelIsNoDeadline(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var ends []endedCall
	begun := make(chan struct{}, 2)
	ep := rpctest.Serve(t, echoServer(&rpcnet.ServerConfig{Interceptors: []func(rpcnet.ServerFunc) rpcnet.ServerFunc{watchEnds(&mu, &ends), func(next rpcnet.ServerFunc) rpcnet.ServerFunc {
		return func(ctx context.Context, spec *rpcnet.Spec, st rpcnet.ServerStream) error {
			begun <- struct{}{}
			return next(ctx, spec, st)
		}
	}}}), nil)
	conn := rpctest.Dial(t, ep.Addr().String(), nil)
	for i, procedure := range []string{"wait", "talk"} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		done := make(chan struct{})
		go func() {
			defer close(done)
			untilItEnds(ctx, conn, procedure, true)
		}()
		<-begun
		cancel()
		<-done
		eventually(t, procedure+" has ended", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(ends) == i+1
		})
	}
	mu.Lock()
	defer mu.Unlock()
	for _, e := range ends {
		if rpcnet.CodeOf(e.err) != rpcnet.CodeCanceled || e.ctx != context.Canceled {
			t.Errorf("%s: the server sees error %v, context %v", e.procedure, e.err, e.ctx)
		}
	}
}
