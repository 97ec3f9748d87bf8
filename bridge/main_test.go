package bridge_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/bridge"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/schema"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// contract is the service of these tests. Its handlers have messages in JSON, so that there
// is no generated code here either.
const contract = `{"version":1,"service":"test.v1.Test","errors":"Failure","errors_name":"TestError",
"methods":[
{"name":"Echo","shape":"unary","request":"Note","response":"Note","doc":"Echo gives it back."},
{"name":"Read","shape":"unary","request":"Note","response":"Note","idempotency":"nosideeffects"},
{"name":"Fail","shape":"unary","request":"Note","response":"Note"},
{"name":"Wait","shape":"unary","request":"Note","response":"Note"},
{"name":"Sum","shape":"clientstream","request":"Word","response":"Word"},
{"name":"Chat","shape":"bidi","request":"Word","response":"Word"},
{"name":"Hang","shape":"serverstream","request":"Note","response":"Word"},
{"name":"Count","shape":"serverstream","request":"Range","response":"Word","idempotency":"nosideeffects","resume_from":"from","sequence":"seq"}],
"types":{
"Failure":{"kind":"union","variants":[{"name":"note","type":"Note"}]},
"Note":{"kind":"struct","fields":[{"name":"text","type":"string"}]},
"Range":{"kind":"struct","fields":[{"name":"from","type":"uint64"},{"name":"to","type":"uint64"},{"name":"fail","type":"bool"},{"name":"hang","type":"bool"}]},
"Word":{"kind":"struct","fields":[{"name":"seq","type":"uint64"},{"name":"text","type":"string"}]}}}`

// A word is the message Word.
type word struct {
	Seq  uint64 `json:"seq"`
	Text string `json:"text"`
}

// send sends a word.
func send(s rpcnet.ServerStream, w word) error {
	b, _ := json.Marshal(w)
	return s.Send(b)
}

// handlers serve the methods of contract. coded fails with the code that the request names.
var handlers = map[string]rpcnet.ServerFunc{
	"Echo": echo,
	"Read": echo,
	"Fail": func(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
		var in []byte
		if err := s.Recv(&in); err != nil {
			return err
		}
		var note struct{ Text string }
		json.Unmarshal(in, &note)
		for code := rpcnet.CodeCanceled; code <= rpcnet.CodeUnauthenticated; code++ {
			if code.String() == note.Text {
				return rpcnet.NewError(code, "as you wish").WithRetryAfter(1200 * time.Millisecond)
			}
		}
		detail := &codegen.Detail{Name: "TestError", Data: []byte("\xa1\x64note\xa1\x64text\x64oops")}
		return rpcnet.NewError(rpcnet.CodeNotFound, "typed").WithDetail(detail)
	},
	"Wait": func(ctx context.Context, _ *rpcnet.Spec, _ rpcnet.ServerStream) error {
		<-ctx.Done()
		return ctx.Err()
	},
	"Sum": func(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
		var sum word
		for {
			var in []byte
			var w word
			if err := s.Recv(&in); err == io.EOF {
				return send(s, sum)
			} else if err != nil {
				return err
			}
			json.Unmarshal(in, &w)
			sum.Seq += w.Seq
			sum.Text += w.Text
		}
	},
	"Chat": func(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
		for {
			var in []byte
			if err := s.Recv(&in); err != nil {
				return eof(err)
			}
			if err := s.Send(in); err != nil {
				return err
			}
		}
	},
	"Hang": func(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
		if err := send(s, word{Text: strings.Repeat("x", 1000)}); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	},
	"Count": count,
}

// eof turns the end of the requests into success.
func eof(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// echo gives its request back.
func echo(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
	var in []byte
	if err := s.Recv(&in); err != nil {
		return err
	}
	return s.Send(in)
}

// count sends the numbers that the request asks for.
func count(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
	var in []byte
	if err := s.Recv(&in); err != nil {
		return err
	}
	var r struct {
		From, To   uint64
		Fail, Hang bool
	}
	json.Unmarshal(in, &r)
	for n := max(r.From, 1); n <= r.To; n++ {
		if err := send(s, word{n, fmt.Sprint("w", n)}); err != nil {
			return err
		}
	}
	if r.Hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if r.Fail {
		return rpcnet.NewError(rpcnet.CodeAborted, "enough")
	}
	return nil
}

// newServer serves contract, and a service that is not to be seen by a star.
func newServer(t testing.TB) *rpcnet.Server {
	t.Helper()
	srv := rpcnet.NewServer(nil)
	for _, text := range []string{contract, strings.Replace(contract, "test.v1.Test", "cluster.v1.Secret", 1)} {
		s, err := schema.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range s.Methods {
			spec, err := s.Spec(m.Name, false)
			if err != nil {
				t.Fatal(err)
			}
			spec.Descriptor = text
			srv.Register(spec, handlers[m.Name])
		}
	}
	return srv
}

// A site is an endpoint with a bridge, and what its callers show.
type site struct {
	t      testing.TB
	ep     *rpcnet.Endpoint
	bridge *bridge.Bridge
	source *credentials.Source
	ca     *credentials.DevCA
	base   string // https://127.0.0.1:PORT
	log    *testkit.Log
}

// The tokens of a site, by their roles.
const (
	callToken  = "call-token"
	viewToken  = "view-token"
	adminToken = "admin-token"
)

// writeTokens writes a file with tokens.
func writeTokens(t testing.TB, path string, roles map[string]string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("# tokens of a test\n\n")
	for token, role := range roles {
		sum := sha256.Sum256([]byte(token))
		fmt.Fprintf(&b, "%s %s %s # a comment\n", hex.EncodeToString(sum[:]), role, role+"er")
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// newSite starts a site. edit, if not nil, changes the configuration.
func newSite(t testing.TB, edit func(*bridge.Config)) *site {
	t.Helper()
	log := &testkit.Log{}
	path := filepath.Join(t.TempDir(), "tokens.txt")
	writeTokens(t, path, map[string]string{callToken: "call", viewToken: "view", adminToken: "admin"})
	cfg := &bridge.Config{Logger: log.Logger(), Services: []string{"*"}, Tokens: path, Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metric 1\n") }), Pprof: true}
	if edit != nil {
		edit(cfg)
	}
	ca := testkit.NewCA(t)
	bundle, err := ca.Issue(credentials.Leaf{Hosts: []string{"127.0.0.1", "node.example"}})
	if err != nil {
		t.Fatal(err)
	}
	source, err := credentials.NewSource(bundle, log.Logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { source.Close() })
	dir := t.TempDir()
	names := []string{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")}
	for i, b := range [][]byte{bundle.Cert, bundle.Key, bundle.CA} {
		if err := os.WriteFile(names[i], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ep, err := rpcnet.Listen("127.0.0.1:0", rpcnet.CertFiles(names[0], names[1], names[2]), &rpcnet.EndpointConfig{Logger: log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ep.Close() })
	srv := newServer(t)
	go ep.Serve(context.Background(), srv)
	conn := rpcnet.InProcess(srv)
	t.Cleanup(func() { conn.Close() })
	b, err := bridge.New(conn, cfg)
	if err != nil {
		t.Fatal(err)
	}
	stop, err := b.Serve(ep)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return &site{t, ep, b, source, ca, "https://" + ep.Addr().String(), log}
}

// client returns a client of HTTP/1.1 or, if h2 says so, of HTTP/2.
func (s *site) client(certificate, h2 bool) *http.Client {
	cfg := s.source.ClientConfig("127.0.0.1", nil)
	if !certificate {
		cfg.Certificates = nil
	}
	p := new(http.Protocols)
	p.SetHTTP1(!h2)
	p.SetHTTP2(h2)
	tr := &http.Transport{TLSClientConfig: cfg, Protocols: p}
	s.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// A request is one, in short.
type request struct {
	method, path, body string
	header             http.Header
	token              string
	host               string
}

// post returns a request of a method.
func post(method, body string) request {
	return request{"POST", "/test.v1.Test/" + method, body, http.Header{"Content-Type": {"application/json"}}, callToken, ""}
}

// with returns the request with another header.
func (q request) with(key, value string) request {
	q.header = q.header.Clone()
	if q.header == nil {
		q.header = http.Header{}
	}
	q.header.Set(key, value)
	return q
}

// do sends a request and returns the response, whose body the caller reads.
func (s *site) do(c *http.Client, q request) *http.Response {
	s.t.Helper()
	req, err := http.NewRequest(q.method, s.base+q.path, strings.NewReader(q.body))
	if err != nil {
		s.t.Fatal(err)
	}
	for k, v := range q.header {
		req.Header[k] = v
	}
	if q.token != "" {
		req.Header.Set("Authorization", "Bearer "+q.token)
	}
	if q.host != "" {
		req.Host = q.host
	}
	res, err := c.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { res.Body.Close() })
	return res
}

// ask sends a request and returns status and body.
func (s *site) ask(c *http.Client, q request) (int, string) {
	s.t.Helper()
	res := s.do(c, q)
	b, err := io.ReadAll(res.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		s.t.Error(err)
	}
	return res.StatusCode, string(bytes.TrimSpace(b))
}

// dial opens a connection by hand, without a certificate.
func (s *site) dial(alpn ...string) *tls.Conn {
	s.t.Helper()
	cfg := s.source.ClientConfig("127.0.0.1", nil)
	cfg.Certificates, cfg.NextProtos = nil, alpn
	c, err := tls.Dial("tcp", s.ep.Addr().String(), cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.NetConn().Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}
