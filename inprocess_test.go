package rpcnet_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
)

func localServer() *rpcnet.Server {
	srv := rpcnet.NewServer(nil)
	srv.Handle("echo", testkit.Echo)
	srv.Handle("nap", func(_ context.Context, in []byte) ([]byte, error) {
		time.Sleep(time.Millisecond)
		return in, nil
	})
	srv.Handle("slow", func(ctx context.Context, in []byte) ([]byte, error) {
		select {
		case <-time.After(time.Hour):
			return in, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	srv.HandleStream("talk", func(_ context.Context, st rpcnet.ServerStream) error {
		for {
			var m []byte
			if err := st.Recv(&m); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := st.Send(m); err != nil {
				return err
			}
		}
	})
	return srv
}

func echoInProcess(t *testing.T) {
	t.Helper()
	tr := rpcnet.InProcess(localServer())
	defer tr.Close()
	var callers sync.WaitGroup
	for range 8 { // several at a time, so that they wait for one another's reader
		callers.Go(func() {
			for range 20 {
				out, err := rpcnet.CallRaw(context.Background(), tr, "nap", []byte("x"))
				if err != nil || string(out) != "x" {
					t.Error(out, err)
				}
			}
		})
	}
	callers.Wait()
}

// Nothing that belongs to a bubble may be used outside it, and the other way
// round: what is pooled must not cross.
func TestCallsInsideAndOutsideOfBubbles(t *testing.T) {
	t.Parallel()
	for range 3 {
		echoInProcess(t)
		synctest.Test(t, echoInProcess)
	}
}

func TestTimePassesInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := rpcnet.InProcess(localServer())
		defer tr.Close()
		begin := time.Now()
		if _, err := rpcnet.CallRaw(context.Background(), tr, "slow", nil); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d != time.Hour {
			t.Errorf("the call took %v, want 1h exactly", d)
		}
	})
}

func TestDeadlinesAreKeptToTheTick(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := rpcnet.InProcess(localServer())
		defer tr.Close()
		const tick = 10 * time.Millisecond
		for _, d := range []time.Duration{time.Millisecond, 99 * time.Millisecond, 101 * time.Millisecond, time.Minute} {
			for _, lone := range []bool{true, false} {
				ctx, cancel := context.WithTimeout(context.Background(), d)
				if !lone { // with company, somebody else reads
					st, err := tr.NewStream(context.Background(), &rpcnet.Spec{Procedure: "talk", Shape: codegen.ShapeBidi})
					if err != nil {
						t.Fatal(err)
					}
					defer st.Close()
				}
				begin := time.Now()
				_, err := rpcnet.CallRaw(ctx, tr, "slow", nil)
				cancel()
				if rpcnet.CodeOf(err) != rpcnet.CodeDeadlineExceeded || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("deadline of %v: %v", d, err)
				}
				if late := time.Since(begin) - d; late < 0 || late > 3*tick {
					t.Errorf("deadline of %v (alone: %v) was %v late", d, lone, late)
				}
			}
		}
	})
}

func TestCloseFailsCallsAndIsIdempotent(t *testing.T) {
	t.Parallel()
	tr := rpcnet.InProcess(localServer())
	st, err := tr.NewStream(context.Background(), &rpcnet.Spec{Procedure: "talk", Shape: codegen.ShapeBidi})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Send([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := tr.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var m []byte
	for err = nil; err == nil; {
		err = st.Recv(&m)
	}
	if rpcnet.CodeOf(err) != rpcnet.CodeUnavailable {
		t.Errorf("Recv after Close: %v", err)
	}
	_, err = rpcnet.CallRaw(context.Background(), tr, "echo", nil)
	var e *rpcnet.Error
	if !errors.As(err, &e) || e.Code() != rpcnet.CodeUnavailable || !e.Unprocessed() {
		t.Errorf("a call after Close: %v", err)
	}
}

func TestPeerIsEmptyInProcess(t *testing.T) {
	t.Parallel()
	srv := rpcnet.NewServer(nil)
	srv.Handle("who", func(ctx context.Context, _ []byte) ([]byte, error) {
		return []byte(rpcnet.ServerCallFrom(ctx).Peer().ID), nil
	})
	tr := rpcnet.InProcess(srv)
	defer tr.Close()
	if out, err := rpcnet.CallRaw(context.Background(), tr, "who", nil); err != nil || len(out) != 0 {
		t.Errorf("%q, %v", out, err)
	}
}

func TestLimitsHoldInProcess(t *testing.T) {
	t.Parallel()
	tr := rpcnet.InProcess(localServer())
	defer tr.Close()
	_, err := rpcnet.CallRaw(context.Background(), tr, "echo", make([]byte, 5<<20))
	if rpcnet.CodeOf(err) != rpcnet.CodeResourceExhausted || !strings.Contains(err.Error(), "rpcnet.CallOptions.MaxMessageSize of the client or the call") {
		t.Error(err)
	}
}
