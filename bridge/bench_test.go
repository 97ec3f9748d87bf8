package bridge_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/bridge"
)

// nowhere is a response that is thrown away.
type nowhere struct{ header http.Header }

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (w *nowhere) WriteHeader(int)             {}

// One unary call through the handler, without HTTP around it.
func BenchmarkUnary(b *testing.B) {
	conn := rpcnet.InProcess(newServer(b))
	defer conn.Close()
	path := b.TempDir() + "/tokens.txt"
	writeTokens(b, path, map[string]string{callToken: "call"})
	br, err := bridge.New(conn, &bridge.Config{Services: []string{"*"}, Tokens: path})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req := httptest.NewRequest("POST", "http://localhost/test.v1.Test/Echo", strings.NewReader(`{"text":"Ada"}`))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+callToken)
			br.ServeHTTP(&nowhere{http.Header{}}, req)
		}
	})
}

// A stream of events over HTTP/2, read as fast as it comes. One operation is one event.
func BenchmarkEvents(b *testing.B) {
	s := newSite(b, nil)
	client := s.client(false, true)
	b.ReportAllocs()
	b.ResetTimer()
	res := s.do(client, post("Count", fmt.Sprintf(`{"to":%d}`, b.N)).with("Accept", "text/event-stream"))
	n, err := io.Copy(io.Discard, res.Body)
	if err != nil || n < int64(b.N) {
		b.Fatal(n, err)
	}
}
