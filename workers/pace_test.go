package workers

import (
	"testing"
	"time"
)

func TestPaceOfReportsFollowsTheNumberOfWorkers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		hello          reportHello
		heartbeat, gap time.Duration
	}{
		{reportHello{workers: 4}, 50 * time.Millisecond, 20 * time.Millisecond},
		{reportHello{workers: 101}, 50 * time.Millisecond, 50 * time.Millisecond},
		{reportHello{workers: 200}, 50 * time.Millisecond, 50 * time.Millisecond},
		{reportHello{workers: 201}, 100 * time.Millisecond, 50 * time.Millisecond},
		{reportHello{workers: 1000}, 100 * time.Millisecond, 50 * time.Millisecond},
		{reportHello{workers: 1001}, 250 * time.Millisecond, 100 * time.Millisecond},
		{reportHello{workers: 2000}, 250 * time.Millisecond, 100 * time.Millisecond},
		{reportHello{workers: 2001}, 500 * time.Millisecond, 100 * time.Millisecond},
		{reportHello{workers: 5000, heartbeat: time.Second}, time.Second, 100 * time.Millisecond},
		{reportHello{workers: 4, heartbeat: time.Second}, time.Second, 20 * time.Millisecond},
		{reportHello{workers: 4, heartbeat: time.Microsecond}, minHeartbeat, minHeartbeat},
	} {
		if heartbeat, gap := c.hello.pace(); heartbeat != c.heartbeat || gap != c.gap {
			t.Errorf("%+v: %v and %v, want %v and %v", c.hello, heartbeat, gap, c.heartbeat, c.gap)
		}
	}
}

// TestNewHelloChangesThePaceOfARunningStream: a balancer that came to know of many
// workers tells those it knew before.
func TestNewHelloChangesThePaceOfARunningStream(t *testing.T) {
	t.Parallel()
	w := &Worker{reports: map[*reportStream]struct{}{}}
	mine := &reportStream{wake: make(chan struct{}, 1), hello: reportHello{balancer: 7, workers: 3}}
	other := &reportStream{wake: make(chan struct{}, 1), hello: reportHello{balancer: 8, workers: 3}}
	stranger := &reportStream{wake: make(chan struct{}, 1), peer: "another", hello: reportHello{balancer: 7, workers: 3}}
	for _, v := range []*reportStream{mine, other, stranger} {
		w.reports[v] = struct{}{}
	}
	s := &oneRequest{in: reportHello{balancer: 7, workers: 500}.append(nil)}
	if err := w.servePace(t.Context(), paceSpec, s); err != nil || s.out == nil {
		t.Fatal(err)
	}
	if mine.hello.workers != 500 || len(mine.wake) != 1 {
		t.Errorf("mine: %+v", mine.hello)
	}
	for _, v := range []*reportStream{other, stranger} {
		if v.hello.workers != 3 || len(v.wake) != 0 {
			t.Errorf("the pace of another changed as well: %+v", v)
		}
	}
	if err := w.servePace(t.Context(), paceSpec, &oneRequest{in: []byte("nonsense")}); err == nil {
		t.Error("a malformed hello was accepted")
	}
}

// oneRequest is the handler's side of a unary call of bytes.
type oneRequest struct{ in, out []byte }

func (s *oneRequest) Recv(msg any) error { *msg.(*[]byte) = s.in; return nil }
func (s *oneRequest) Send(msg any) error { s.out = msg.([]byte); return nil }
