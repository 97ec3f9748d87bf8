package failover_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
)

// A lostStream is an attempt whose connection is lost after the first request.
type lostStream struct {
	sent int
	lost chan struct{}
}

func (s *lostStream) Send(any) error {
	if s.sent++; s.sent == 1 {
		return nil
	}
	if s.sent == 2 {
		close(s.lost)
	}
	return errFailed
}

func (s *lostStream) CloseSend() error { return errFailed }
func (s *lostStream) Close() error     { return nil }

func (s *lostStream) Recv(any) error {
	<-s.lost
	return errFailed
}

// gather answers with each request, numbered, until they end.
func gather(_ context.Context, first uint64, s rpcnet.ServerStream) error {
	for n := first; ; n++ {
		if err := s.Send(bytes(n)); err != nil {
			return err
		}
		var b []byte
		if err := s.Recv(&b); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// The sender need not know that the worker has changed.
func TestRequestsGoOnWhileTheAttemptIsLost(t *testing.T) {
	bubble(t, func(t *testing.T, c *fakeCluster) {
		s := open(t.Context(), t, c, countSpec)
		defer s.Close()
		const requests = 5
		for n := range uint64(requests) {
			if err := s.Send(bytes(n + 1)); err != nil {
				t.Fatalf("request %d: %v", n+1, err)
			}
		}
		if err := s.CloseSend(); err != nil {
			t.Fatal(err)
		}
		for want := uint64(1); ; want++ {
			var b []byte
			err := s.Recv(&b)
			if err == io.EOF && want == requests+1 {
				return
			}
			if err != nil || number(b) != want {
				t.Fatalf("%v, %v, want %d", b, err, want)
			}
		}
	}, &fakeWorker{name: "a", stream: func() rpcnet.ClientStream { return &lostStream{lost: make(chan struct{})} }},
		&fakeWorker{name: "b", serve: gather})
}

// A request that cannot be sent is an error of Send, and no part of
// the call.
func TestRequestThatCannotBeSentIsAnErrorAndNotSentLater(t *testing.T) {
	var got []string
	spec := &rpcnet.Spec{Procedure: "upload", Shape: codegen.ShapeClientStream}
	resumable := &rpcnet.Spec{Procedure: "upload", Shape: codegen.ShapeBidi, Resume: countSpec.Resume}
	upload := method{spec: spec, handler: func(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
		got = nil
		for {
			var b []byte
			if err := s.Recv(&b); err == io.EOF {
				return s.Send(bytes(1))
			} else if err != nil {
				return err
			}
			got = append(got, string(b))
		}
	}}
	bubble(t, func(t *testing.T, c *fakeCluster) {
		ctx, _ := rpcnet.NewCall(t.Context(), rpcnet.CallOptions{MaxMessageSize: 1000})
		for name, s := range map[string]rpcnet.ClientStream{
			"stream":    open(ctx, t, c, spec),
			"resumable": open(ctx, t, c, resumable),
		} {
			for _, text := range []string{"request a", strings.Repeat("b", 2000), "request c"} {
				if err := s.Send([]byte(text)); len(text) > 1000 {
					wantCode(t, err, rpcnet.CodeResourceExhausted)
				} else if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			var b []byte
			if err := s.CloseSend(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if err := s.Recv(&b); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if strings.Join(got, ", ") != "request a, request c" {
				t.Errorf("%s: the worker got %q", name, got)
			}
			s.Close()
		}
	}, &fakeWorker{name: "a", methods: []method{upload}})
}

// A worker that takes over is told what was accepted, if the method wants it.
func TestWhatWasAcceptedGoesWithTheNextAttempt(t *testing.T) {
	spec := &rpcnet.Spec{Procedure: "story", Shape: codegen.ShapeServerStream, Resume: &codegen.Resume{
		Sequence: func(res any) uint64 { return uint64(len(bytesOf(res))) },
		From:     func(req any, _ uint64) any { return req },
		Accepted: func(req, res any) any { return append(req.([]byte), bytesOf(res)[len(bytesOf(res))-1]) },
	}}
	var asked []string
	tell := func(fail int) method {
		return method{spec: &rpcnet.Spec{Procedure: "story", Shape: codegen.ShapeServerStream}, handler: func(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
			var b []byte
			if err := s.Recv(&b); err != nil {
				return err
			}
			asked = append(asked, string(b))
			for text := string(b[1:]); len(text) < 5; { // the request is "?" and the story so far
				if len(text) == fail {
					return errFailed
				}
				text += string(rune('a' + len(text)))
				if err := s.Send([]byte(text)); err != nil {
					return err
				}
			}
			return nil
		}}
	}
	bubble(t, func(t *testing.T, c *fakeCluster) {
		s := open(t.Context(), t, c, spec)
		defer s.Close()
		if err := codegen.SendOne(s, []byte("?")); err != nil {
			t.Fatal(err)
		}
		var last []byte
		for {
			var b []byte
			if err := s.Recv(&b); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			last = b
		}
		if string(last) != "abcde" || strings.Join(asked, " ") != "? ?abc" {
			t.Errorf("%q, asked %q", last, asked)
		}
	}, &fakeWorker{name: "a", methods: []method{tell(3)}}, &fakeWorker{name: "b", methods: []method{tell(-1)}})
}

// An empty request is a request too, and goes with each attempt.
func TestEmptyRequestIsSentAgain(t *testing.T) {
	for _, spec := range []*rpcnet.Spec{againSpec, resumeSpec} {
		t.Run(spec.Procedure, func(t *testing.T) {
			var requests [2]int
			counting := func(name string, n int, end error) *fakeWorker {
				return &fakeWorker{name: name, methods: []method{{spec: spec, handler: func(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
					var b []byte
					for s.Recv(&b) == nil {
						requests[n]++
					}
					if end != nil {
						return end
					}
					return s.Send(bytes(1))
				}}}}
			}
			bubble(t, func(t *testing.T, c *fakeCluster) {
				s := open(t.Context(), t, c, spec)
				defer s.Close()
				var b []byte
				if err := codegen.SendOne(s, []byte(nil)); err != nil {
					t.Fatal(err)
				}
				if err := s.Recv(&b); err != nil || number(b) != 1 {
					t.Errorf("%v, %v", b, err)
				}
				if requests != [2]int{1, 1} {
					t.Errorf("the workers had %v requests, want one each", requests)
				}
			}, counting("a", 0, errFailed), counting("b", 1, nil))
		})
	}
}
