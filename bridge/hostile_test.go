package bridge_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/bridge"
)

// awaitClosed reads until the peer has closed, and returns what came.
func awaitClosed(t *testing.T, what string, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("%s: the connection stays open: %v", what, err)
	}
	return string(b)
}

// A header that never ends, in size or in time, ends its connection; so does a body.
func TestAttackHTTPBombsAndSlowWriters(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *bridge.Config) { c.BodyTimeout, c.MaxBody = 500*time.Millisecond, 64<<10 })
	t.Run("a large header", func(t *testing.T) {
		t.Parallel()
		c := s.dial("http/1.1")
		fmt.Fprint(c, "GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Bomb: ")
		sent := 0
		for chunk := strings.Repeat("x", 4<<10); sent < 64<<20; sent += len(chunk) {
			if _, err := io.WriteString(c, chunk); err != nil {
				break
			}
		}
		if sent >= 64<<20 {
			t.Error("64 MiB of a header are taken")
		}
	})
	t.Run("a slow header", func(t *testing.T) {
		t.Parallel()
		c := s.dial("http/1.1")
		fmt.Fprint(c, "GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n") // and nothing more
		if got := awaitClosed(t, "a slow header", c); strings.Contains(got, "200") {
			t.Errorf("%q", got)
		}
	})
	t.Run("many headers of HTTP/2", func(t *testing.T) {
		t.Parallel()
		q := request{method: "GET", path: "/livez", header: http.Header{"X-Bomb": {strings.Repeat("x", 64<<10)}}}
		req, _ := http.NewRequest(q.method, s.base+q.path, nil)
		req.Header = q.header
		if res, err := s.client(false, true).Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode != 431 {
				t.Errorf("%d, want 431", res.StatusCode)
			}
		}
	})
	t.Run("a slow body", func(t *testing.T) {
		t.Parallel()
		c := s.dial("http/1.1")
		fmt.Fprintf(c, "POST /test.v1.Test/Echo HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", callToken)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || res.StatusCode != 400 {
			t.Fatalf("%v, %v; want 400", res, err)
		}
		res.Body.Close()
	})
	t.Run("a body that nobody may send", func(t *testing.T) {
		t.Parallel()
		c := s.dial("http/1.1")
		fmt.Fprint(c, "POST /test.v1.Test/Echo HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
		if got := awaitClosed(t, "a refused body", c); !strings.HasPrefix(got, "HTTP/1.1 401 ") {
			t.Errorf("%.100q, want 401 and no call for the body", got)
		}
	})
	t.Run("a length that lies", func(t *testing.T) {
		t.Parallel()
		q := post("Echo", "")
		req, _ := http.NewRequest("POST", s.base+q.path, io.LimitReader(zeros{}, 100<<20)) // chunked
		req.Header = q.header
		req.Header.Set("Authorization", "Bearer "+callToken)
		res, err := s.client(false, false).Do(req)
		if err != nil { // the server may close while the body is still being sent
			return
		}
		res.Body.Close()
		if res.StatusCode != 413 {
			t.Errorf("%d, want 413", res.StatusCode)
		}
	})
}

// zeros is an endless body of spaces, which are JSON so far.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// One address takes a part of the connections, and an honest session beside it is served.
func TestAttackHTTPManyConnections(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	bridge.LimitConns(s.bridge, 40)
	for range 60 {
		s.dial("h2").NetConn()
	}
	for deadline := time.Now().Add(patience); s.log.Count("too many connections of HTTP from its address") == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no connection is refused")
		}
	}
	if n := bridge.Conns(s.bridge); n > 10 {
		t.Errorf("%d connections of one address are open, want 10 at most", n)
	}
	conn, err := s.ep.Dial(t.Context(), s.ep.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := rpcnet.CallRaw(t.Context(), conn, "/rpcnet.v1.Describe", nil); err != nil {
		t.Error(err)
	}
}

// Whatever a request says, the bridge answers with a status, anonymous callers get no text,
// and nothing panics.
func FuzzRequests(f *testing.F) {
	conn := rpcnet.InProcess(newServer(f))
	defer conn.Close()
	path := f.TempDir() + "/tokens.txt"
	writeTokens(f, path, map[string]string{callToken: "call"})
	b, err := bridge.New(conn, &bridge.Config{Services: []string{"*"}, Tokens: path})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("POST", "/test.v1.Test/Echo", "Content-Type", "application/json", `{"text":"a"}`, true)
	f.Add("GET", "/test.v1.Test/Count?encoding=json&message={\"to\":3}", "Last-Event-ID", "1", "", true)
	f.Add("POST", "/test.v1.Test/Chat", "Accept", "text/event-stream", `{"text":"a"}{`, true)
	f.Add("OPTIONS", "/%2e/livez?verbose", "Origin", "null", "", false)
	f.Fuzz(func(t *testing.T, method, path, key, value, body string, known bool) {
		if strings.Contains(path, "Wait") || strings.Contains(path, "Hang") || strings.Contains(body, "hang") || strings.Contains(path, "hang") || strings.Contains(body, "to") || len(path) > 60 && strings.Contains(path, "to") {
			t.Skip("does not end, or is long")
		}
		req, err := http.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
		if err != nil {
			return
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header[http.CanonicalHeaderKey(key)] = []string{value}
		if known {
			req.Header.Set("Authorization", "Bearer "+callToken)
		} else if strings.EqualFold(key, "Authorization") {
			return
		}
		w := httptest.NewRecorder()
		b.ServeHTTP(w, req)
		out := w.Body.String()
		if !known && out != "" && out != "ok\n" {
			t.Errorf("%d %q to a stranger", w.Code, out)
		}
		if w.Code < 200 || w.Code > 599 {
			t.Errorf("status %d", w.Code)
		}
	})
}

// A file of tokens, right or wrong, is parsed or refused.
func FuzzTokens(f *testing.F) {
	f.Add([]byte(strings.Repeat("0", 64) + " call a # b\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := bridge.ParseTokens(b); err == nil && n > len(b)/64 {
			t.Errorf("%d tokens in %d bytes", n, len(b))
		}
	})
}
