package bridge_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/bridge"
)

// events asks for server-sent events.
func (q request) events() request { return q.with("Accept", "text/event-stream") }

// Streams come as lines of JSON and as events, and their errors after the first message in
// the same form.
func TestStreams(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sse := func(lines ...string) string { return strings.Join(lines, "\n") }
	for _, c := range []struct {
		name   string
		q      request
		status int
		want   string
	}{
		{"lines", post("Count", `{"to":2}`), 200, `{"seq":1,"text":"w1"}` + "\n" + `{"seq":2,"text":"w2"}`},
		{"lines and an error", post("Count", `{"to":1,"fail":true}`), 200, `{"seq":1,"text":"w1"}` + "\n" + `{"error":{"code":"aborted","message":"enough"}}`},
		{"an error before the first message", post("Count", `{"fail":true}`), 409, `{"code":"aborted","message":"enough"}`},
		{"a wrong request", post("Count", `{"upto":1}`), 400, `~no field \"upto\"`},
		{"events", post("Count", `{"to":2}`).events(), 200,
			sse("id: 1", `data: {"seq":1,"text":"w1"}`, "", "id: 2", `data: {"seq":2,"text":"w2"}`, "", "event: end", "data: {}")},
		{"events and an error", post("Count", `{"to":1,"fail":true}`).events(), 200,
			sse("id: 1", `data: {"seq":1,"text":"w1"}`, "", "event: error", `data: {"code":"aborted","message":"enough"}`)},
		{"events by GET", request{"GET", "/test.v1.Test/Count?encoding=json&message=%7B%22to%22:1%7D", "", http.Header{"Accept": {"text/html, text/event-stream;q=0.5"}}, callToken, ""}, 200,
			sse("id: 1", `data: {"seq":1,"text":"w1"}`, "", "event: end", "data: {}")},
		{"resumed", post("Count", `{"to":3}`).events().with("Last-Event-ID", "2"), 200,
			sse("id: 3", `data: {"seq":3,"text":"w3"}`, "", "event: end", "data: {}")},
		{"resumed at the end", post("Count", `{"to":3}`).events().with("Last-Event-ID", "3"), 200, sse("event: end", "data: {}")},
		{"resumed from nowhere", post("Count", `{"to":3}`).events().with("Last-Event-ID", "x"), 400, `~Last-Event-ID`},
		{"resumed beyond all numbers", post("Count", `{"to":3}`).events().with("Last-Event-ID", "18446744073709551615"), 400, `~Last-Event-ID`},
		{"without numbers", post("Chat", `{"text":"a"}`).events(), 200, sse(`data: {"text":"a"}`, "", "event: end", "data: {}")},
		{"both ways, requests first", post("Chat", `{"text":"a"} {"text":"b"}`+"\n"+`{"text":"c"}`).with("Content-Type", "application/x-ndjson"), 200, `{"text":"a"}` + "\n" + `{"text":"b"}` + "\n" + `{"text":"c"}`},
		{"both ways, a wrong request", post("Chat", `{"text":"a"} {"txet":"b"}`), 400, `~no field \"txet\"`},
		{"both ways, no JSON", post("Chat", `{"text":"a"} {`), 400, `~request 2 of the body`},
		{"an upload", post("Sum", `{"seq":1,"text":"a"}{"seq":2,"text":"b"}`), 200, `{"seq":3,"text":"ab"}`},
		{"an upload with a wrong request", post("Sum", `{"seq":1}{"seq":"x"}`), 400, `~"invalid_argument"`},
	} {
		for _, h2 := range []bool{false, true} {
			status, body := s.ask(s.client(false, h2), c.q)
			part, isPart := strings.CutPrefix(c.want, "~")
			if status != c.status || isPart && !strings.Contains(body, part) || !isPart && body != c.want {
				// A wrong request may be found after the answer to the one before it.
				if c.name == "both ways, a wrong request" && status == 200 && strings.Contains(body, part) {
					continue
				}
				t.Errorf("%s (h2 %v): %d\n%s\nwant %d\n%s", c.name, h2, status, body, c.status, c.want)
			}
		}
	}
}

// A stream that is silent is open after a moment, and has comments.
func TestSilentStreamsAreAlive(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	bridge.Quicken(s.bridge, 10*time.Millisecond)
	res := s.do(s.client(false, true), post("Count", `{"hang":true}`).events())
	if res.StatusCode != 200 || res.Header.Get("X-Accel-Buffering") != "no" || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%d, %v", res.StatusCode, res.Header)
	}
	in := bufio.NewReader(res.Body)
	for range 3 {
		if line, err := in.ReadString('\n'); err != nil || line != ":\n" && line != "\n" {
			t.Fatalf("%q, %v; want a comment", line, err)
		}
	}
}

// A caller that goes away ends its call.
func TestCallersWhoLeaveEndTheirCalls(t *testing.T) {
	t.Parallel()
	for _, h2 := range []bool{false, true} {
		s := newSite(t, nil)
		res := s.do(s.client(false, h2), post("Hang", `{}`).events())
		if _, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if bridge.Streams(s.bridge) != 1 {
			t.Errorf("%d streams run, want 1", bridge.Streams(s.bridge))
		}
		res.Body.Close()
		for deadline := time.Now().Add(patience); bridge.Streams(s.bridge) > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the stream goes on without its caller")
			}
		}
	}
}

// When the endpoint drains, streams that can resume are sent elsewhere at once, others
// finish, and /readyz says no.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	client := s.client(false, true)
	resumable := s.do(client, post("Count", `{"to":2,"hang":true}`).events())
	in := bufio.NewReader(resumable.Body)
	for range 5 {
		if _, err := in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	stubborn := s.do(client, post("Hang", `{}`))
	if _, err := bufio.NewReader(stubborn.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if status, body := s.ask(client, request{method: "GET", path: "/readyz"}); status != 200 || body != "ok" {
		t.Errorf("before: %d %s", status, body)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- s.ep.Shutdown(ctx) }()
	rest, err := io.ReadAll(in)
	if err != nil || !strings.HasSuffix(string(rest), "\nretry: 100\n\n") {
		t.Errorf("a stream that can resume ends with %q, %v; want retry: 100", rest, err)
	}
	// A load balancer that asks on another connection, such as one through a handler of
	// the program, hears it.
	if got := bridge.NotReady(s.bridge); got == nil {
		t.Error("the bridge is ready while the endpoint drains")
	}
	select {
	case err := <-ended:
		t.Errorf("Shutdown does not wait for a request: %v", err)
	default:
	}
	cancel()
	if err := <-ended; err != nil && err != context.Canceled {
		t.Error(err)
	}
}

// A caller that does not read holds its stream for WriteTimeout and no longer.
func TestAttackHTTPSlowReaders(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *bridge.Config) { c.WriteTimeout = 100 * time.Millisecond })
	for _, alpn := range []string{"http/1.1"} {
		c := s.dial(alpn)
		body := `{"to":10000000}`
		fmt.Fprintf(c, "POST /test.v1.Test/Count HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", callToken, len(body), body)
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(patience); bridge.Streams(s.bridge) > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the stream waits for its reader", alpn)
			}
		}
	}
}
