package rpcnet_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
)

// A handedOver is a listener of the connections that an endpoint hands to net/http.
type handedOver struct {
	conns chan net.Conn
	done  chan struct{}
	close func() // closes done, once
	addr  net.Addr
}

func (l *handedOver) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *handedOver) Close() error {
	l.close()
	return nil
}

func (l *handedOver) Addr() net.Addr { return l.addr }

// take hands a connection over.
func (l *handedOver) take(c *tls.Conn, _ rpcnet.Peer) {
	select {
	case l.conns <- c:
	case <-l.done:
		c.Close()
	}
}

// serveHTTP lets net/http answer on the port of ep with the protocol and the identity.
func serveHTTP(t *testing.T, ep *rpcnet.Endpoint) (stop func()) {
	t.Helper()
	l := &handedOver{conns: make(chan net.Conn), done: make(chan struct{}), addr: ep.Addr()}
	l.close = sync.OnceFunc(func() { close(l.done) })
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := "nameless"
		if len(r.TLS.PeerCertificates) > 0 {
			who, _ = credentials.Identity(r.TLS.PeerCertificates)
		}
		io.WriteString(w, r.Proto+" "+who)
	})}
	remove, err := extend.Endpoint(ep, extend.Extension{HTTP: l.take})
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	stop = func() {
		remove()
		srv.Close()
	}
	t.Cleanup(stop)
	return stop
}

// get asks for / over a connection of its own, and returns the answer.
func get(t *testing.T, ep *rpcnet.Endpoint, src *credentials.Source, certificate bool, alpn ...string) (string, error) {
	t.Helper()
	cfg := src.ClientConfig("127.0.0.1", nil)
	cfg.NextProtos = alpn
	if !certificate {
		cfg.Certificates = nil
	}
	// An HTTP/2 client is chosen by what it offers.
	tr := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true, ForceAttemptHTTP2: slices.Contains(alpn, "h2")}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(within(t), "GET", "https://"+ep.Addr().String()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

// Who offers none of the endpoint's protocols reaches net/http with a certificate or
// without, in both versions, as long as an extension serves HTTP. Sessions still need a
// certificate.
func TestHTTPSharesThePort(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	node := newParty(t, ca, credentials.Leaf{Hosts: []string{"127.0.0.1"}})
	stranger := newParty(t, testkit.NewCA(t), credentials.Leaf{})
	ep, err := rpcnet.Listen("127.0.0.1:0", node.creds, &rpcnet.EndpointConfig{Logger: (&testkit.Log{}).Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	serving(ep, echoServer(nil))
	if got, err := get(t, ep, node.source, true, "h2"); err == nil {
		t.Errorf("before HTTP is served: %q, want an error", got)
	}
	stop := serveHTTP(t, ep)
	id := ep.Self().ID
	for _, c := range []struct {
		name        string
		certificate bool
		alpn        []string
		want        string
	}{
		{"h2", false, []string{"h2", "http/1.1"}, "HTTP/2.0 nameless"},
		{"h1", false, []string{"http/1.1"}, "HTTP/1.1 nameless"},
		{"no ALPN", false, nil, "HTTP/1.1 nameless"},
		{"h2 with a certificate", true, []string{"h2"}, "HTTP/2.0 " + id},
		{"h1 with a certificate", true, []string{"http/1.1"}, "HTTP/1.1 " + id},
	} {
		if got, err := get(t, ep, node.source, c.certificate, c.alpn...); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
	// A session comes first, and none comes without a certificate.
	for _, alpn := range [][]string{{"rpcnet/1"}, {"rpcnet/1", "h2"}, {"h2", "rpcnet/1"}} {
		if got, err := get(t, ep, node.source, false, alpn...); err == nil {
			t.Errorf("%q without a certificate: %q, want an error", alpn, got)
		}
	}
	if got, err := get(t, ep, node.source, false, "acme"); err == nil {
		t.Errorf("an unknown protocol: %q, want an error", got)
	}
	cfg := node.source.ClientConfig("127.0.0.1", nil)
	cfg.Certificates = stranger.source.ClientConfig("", nil).Certificates
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cfg.Certificates[0], nil }
	tr := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	req, _ := http.NewRequestWithContext(within(t), "GET", "https://"+ep.Addr().String()+"/", nil)
	if res, err := tr.RoundTrip(req); err == nil {
		res.Body.Close()
		t.Error("a certificate of another authority is welcome to HTTP")
	}
	conn, err := rpcnet.Dial(within(t), ep.Addr().String(), node.creds, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	mustEcho(t, conn, []byte("beside HTTP"))
	stop()
	if got, err := get(t, ep, node.source, true, "h2"); err == nil {
		t.Errorf("after HTTP was served: %q, want an error", got)
	}
}

// Whose certificate the rules of the endpoint refuse is refused for HTTP, too, and not
// served as nameless.
func TestHTTPKeepsTheRulesOfSessions(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	node := newParty(t, ca, credentials.Leaf{Hosts: []string{"127.0.0.1"}})
	for what, config := range map[string]*rpcnet.EndpointConfig{
		"Authorize": {Authorize: func(rpcnet.Peer) error { return errors.New("not today") }},
		"Roles":     {Roles: rpcnet.Roles{Client: rpcnet.PeerPattern("nobody.example"), Node: rpcnet.PeerPattern("nobody.example"), Admin: rpcnet.PeerPattern("nobody.example")}},
	} {
		config.Logger = (&testkit.Log{}).Logger()
		ep, err := rpcnet.Listen("127.0.0.1:0", node.creds, config)
		if err != nil {
			t.Fatal(err)
		}
		defer ep.Close()
		serveHTTP(t, ep)
		if got, err := get(t, ep, node.source, true, "h2"); err == nil {
			t.Errorf("%s: %q, want an error", what, got)
		}
		if n := ep.Stats().Refused["authorization"]; n != 1 {
			t.Errorf("%s: %d refusals are counted, want 1", what, n)
		}
		if got, err := get(t, ep, node.source, false, "h2"); err != nil || !strings.HasSuffix(got, "nameless") {
			t.Errorf("%s: without a certificate %q, %v", what, got, err)
		}
	}
}

// An endpoint has one HTTP server, which hears of its end: Drain first, then Idle beside
// the sessions, then Close.
func TestHTTPHearsOfTheEnd(t *testing.T) {
	t.Parallel()
	node := newParty(t, testkit.NewCA(t), credentials.Leaf{})
	ep, err := rpcnet.Listen("127.0.0.1:0", node.creds, nil)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 4)
	x := extend.Extension{
		HTTP:  func(c *tls.Conn, _ rpcnet.Peer) { c.Close() },
		Drain: func(ctx context.Context) { heard <- "drain" },
		Idle:  func(ctx context.Context) { heard <- "idle" },
		Close: func() { heard <- "close" },
	}
	if _, err := extend.Endpoint(ep, x); err != nil {
		t.Fatal(err)
	}
	if _, err := extend.Endpoint(ep, x); err == nil {
		t.Error("a second HTTP server is added")
	}
	if err := ep.Shutdown(within(t)); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"drain", "idle", "close"} {
		if got := <-heard; got != want {
			t.Errorf("%s comes where %s is due", got, want)
		}
	}
}
