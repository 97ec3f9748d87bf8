package workers

import (
	"testing"
	"time"
)

func TestPaceOfReportsFollowsTheNumberOfWorkers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		hello          watchHello
		heartbeat, gap time.Duration
	}{
		{watchHello{workers: 4}, 50 * time.Millisecond, 20 * time.Millisecond},
		{watchHello{workers: 101}, 50 * time.Millisecond, 50 * time.Millisecond},
		{watchHello{workers: 200}, 50 * time.Millisecond, 50 * time.Millisecond},
		{watchHello{workers: 201}, 100 * time.Millisecond, 50 * time.Millisecond},
		{watchHello{workers: 1000}, 100 * time.Millisecond, 50 * time.Millisecond},
		{watchHello{workers: 1001}, 250 * time.Millisecond, 100 * time.Millisecond},
		{watchHello{workers: 2000}, 250 * time.Millisecond, 100 * time.Millisecond},
		{watchHello{workers: 2001}, 500 * time.Millisecond, 100 * time.Millisecond},
		{watchHello{workers: 5000, heartbeat: time.Second}, time.Second, 100 * time.Millisecond},
		{watchHello{workers: 4, heartbeat: time.Second}, time.Second, 20 * time.Millisecond},
		{watchHello{workers: 4, heartbeat: time.Microsecond}, minHeartbeat, minHeartbeat},
	} {
		if heartbeat, gap := c.hello.pace(); heartbeat != c.heartbeat || gap != c.gap {
			t.Errorf("%+v: %v and %v, want %v and %v", c.hello, heartbeat, gap, c.heartbeat, c.gap)
		}
	}
}

// TestNewHelloChangesThePaceOfARunningStream: a chooser that came to know of many
// workers tells those it knew before.
func TestNewHelloChangesThePaceOfARunningStream(t *testing.T) {
	t.Parallel()
	w := &Worker{watchers: map[*watcher]struct{}{}}
	mine := &watcher{wake: make(chan struct{}, 1), hello: watchHello{chooser: 7, workers: 3}}
	other := &watcher{wake: make(chan struct{}, 1), hello: watchHello{chooser: 8, workers: 3}}
	stranger := &watcher{wake: make(chan struct{}, 1), peer: "another", hello: watchHello{chooser: 7, workers: 3}}
	for _, v := range []*watcher{mine, other, stranger} {
		w.watchers[v] = struct{}{}
	}
	s := &oneRequest{in: watchHello{chooser: 7, workers: 500}.append(nil)}
	if err := w.servePace(t.Context(), paceSpec, s); err != nil || s.out == nil {
		t.Fatal(err)
	}
	if mine.hello.workers != 500 || len(mine.wake) != 1 {
		t.Errorf("mine: %+v", mine.hello)
	}
	for _, v := range []*watcher{other, stranger} {
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
