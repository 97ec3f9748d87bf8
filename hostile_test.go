package rpcnet_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/internal/wire"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// A party has credentials in both forms: files for an endpoint, and what a
// client made by hand needs.
type party struct {
	creds  rpcnet.Credentials
	source *credentials.Source
}

func newParty(t testing.TB, ca *credentials.DevCA, leaf credentials.Leaf) party {
	t.Helper()
	b, err := ca.Issue(leaf)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var files [3]string
	for i, c := range [][]byte{b.Cert, b.Key, b.CA} {
		files[i] = filepath.Join(dir, []string{"cert.pem", "key.pem", "ca.pem"}[i])
		if err := os.WriteFile(files[i], c, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	src, err := credentials.NewSource(b, rpctest.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return party{rpcnet.CertFiles(files[0], files[1], files[2]), src}
}

// dialTLS connects by hand.
func dialTLS(t testing.TB, addr string, cfg *tls.Config) (*tls.Conn, error) {
	t.Helper()
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: cfg}
	c, err := d.DialContext(within(t), "tcp", addr)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.(*tls.Conn).NetConn().Close() })
	return c.(*tls.Conn), nil
}

// A caller is served only with a certificate of the cluster, in its time, over
// TLS 1.3, for our protocol; and those who are not hurt nobody.
func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	node := newParty(t, ca, credentials.Leaf{})
	var out testkit.Log
	ep, err := rpcnet.Listen("127.0.0.1:0", node.creds, &rpcnet.EndpointConfig{Logger: out.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	serving(ep, echoServer(nil))
	addr := ep.Addr().String()
	good := func() *tls.Config { return node.source.ClientConfig("127.0.0.1", []string{"rpcnet/1"}) }
	stranger := newParty(t, testkit.NewCA(t), credentials.Leaf{})
	for name, cfg := range map[string]func(*tls.Config){
		"wrong ALPN":     func(c *tls.Config) { c.NextProtos = []string{"h2"} },
		"no ALPN":        func(c *tls.Config) { c.NextProtos, c.VerifyConnection = nil, nil },
		"no certificate": func(c *tls.Config) { c.Certificates = nil },
		"another CA": func(c *tls.Config) {
			c.Certificates = stranger.source.ClientConfig("x", nil).Certificates
		},
		"TLS 1.2": func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
	} {
		c := good()
		cfg(c)
		conn, err := dialTLS(t, addr, c)
		if err == nil { // in TLS 1.3 the refusal of the client comes later
			conn.SetDeadline(time.Now().Add(patience))
			_, err = io.ReadAll(io.LimitReader(conn, 1))
		}
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// An expired certificate cannot be loaded: it expires here while it is in use.
	b, err := ca.Issue(credentials.Leaf{NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	expired, err := tls.X509KeyPair(b.Cert, b.Key)
	if err != nil {
		t.Fatal(err)
	}
	c := good()
	c.Certificates = []tls.Certificate{expired}
	if conn, err := dialTLS(t, addr, c); err == nil {
		if _, err = conn.Read(make([]byte, 1)); err == nil {
			t.Error("an expired certificate is welcome")
		}
	}
	// Plain TCP, with words of another protocol.
	plain, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	plain.Write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	plain.SetDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, plain); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a client without TLS is kept")
	}
	conn, err := rpcnet.Dial(within(t), addr, node.creds, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	mustEcho(t, conn, nil)
	if !strings.Contains(out.String(), "refused a connection") {
		t.Error("refusals are not logged")
	}
}

// A caller does not talk to a server that is not the one it means.
func TestWrongServersAreRefused(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	node := newParty(t, ca, credentials.Leaf{})
	serve := func(p party) string {
		ep, err := rpcnet.Listen("127.0.0.1:0", p.creds, &rpcnet.EndpointConfig{Logger: rpctest.Logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ep.Close() })
		return ep.Addr().String()
	}
	named := serve(newParty(t, ca, credentials.Leaf{Hosts: []string{"worker.example.org", "spiffe://example.org/worker"}}))
	stranger := serve(newParty(t, testkit.NewCA(t), credentials.Leaf{}))
	dial := func(addr string, names ...string) error {
		conn, err := rpcnet.Dial(within(t), addr, node.creds, &rpcnet.DialConfig{ServerNames: names, Logger: rpctest.Logger(t)})
		if err == nil {
			conn.Close()
			return nil
		}
		wantCode(t, err, rpcnet.CodeUnavailable)
		return err
	}
	if err := dial(named); err == nil {
		t.Error("a certificate for another host is accepted")
	}
	if err := dial(stranger); err == nil || !strings.Contains(err.Error(), "x509") {
		t.Errorf("another authority: %v", err)
	}
	if err := dial(named, "worker.example.org"); err != nil {
		t.Errorf("ServerNames: %v", err)
	}
	if err := dial(named, "director.example.org"); err == nil {
		t.Error("a name that the certificate does not carry is accepted")
	}
	if _, err := rpcnet.Dial(within(t), "no port", node.creds, nil); err == nil || !strings.Contains(err.Error(), "host:port") {
		t.Errorf("an address without a port: %v", err)
	}
}

// Whoever Authorize refuses hears why.
func TestAuthorizeSaysWhy(t *testing.T) {
	t.Parallel()
	ep := rpctest.Serve(t, echoServer(nil), &rpcnet.EndpointConfig{Authorize: func(p rpcnet.Peer) error {
		if p.ID != "localhost" || len(p.Chain) == 0 || p.Addr == nil {
			return errors.New("only localhost may come here")
		}
		return nil
	}})
	mustEcho(t, rpctest.Dial(t, ep.Addr().String(), nil), nil)
	for range 20 {
		_, err := rpcnet.Dial(within(t), ep.Addr().String(), rpctest.Credentials(t, "elsewhere", "127.0.0.1"), nil)
		if err == nil || !strings.Contains(err.Error(), "only localhost may come here") {
			t.Fatalf("the refused hear %v", err)
		}
	}
}

// A check of callers that panics refuses them, and ends nothing else.
func TestAuthorizeThatPanicsRefuses(t *testing.T) {
	t.Parallel()
	ep := rpctest.Serve(t, echoServer(nil), &rpcnet.EndpointConfig{Logger: slog.New(slog.DiscardHandler), Authorize: func(p rpcnet.Peer) error {
		if p.ID != "localhost" {
			panic("an unusual certificate")
		}
		return nil
	}})
	if _, err := rpcnet.Dial(within(t), ep.Addr().String(), rpctest.Credentials(t, "elsewhere", "127.0.0.1"), nil); err == nil || !strings.Contains(err.Error(), "the check of callers failed") {
		t.Errorf("the refused hear %v", err)
	}
	mustEcho(t, rpctest.Dial(t, ep.Addr().String(), nil), nil)
}

// attack is one way to misbehave on a session. It writes until it is told to
// stop or the server hangs up.
type attack func(c net.Conn, stop <-chan struct{})

func frame(t wire.Type, flags uint64, id uint32, p []byte) []byte {
	return append(wire.MakeHeader(t, flags, id, len(p)).Append(nil), p...)
}

func openFrame(id uint32, first bool, name string) []byte {
	o := wire.Open{Number: 1, HasMessage: true}
	if first {
		o.Name = []byte(name)
	}
	return frame(wire.TypeOpen, wire.FlagEnd, id, o.Append(nil))
}

// repeat writes what next returns, n times.
func repeat(n int, next func(i int) []byte) attack {
	return func(c net.Conn, stop <-chan struct{}) {
		for i := range n {
			if _, err := c.Write(next(i)); err != nil {
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
		<-stop
	}
}

// greeting is the SETTINGS of a caller that takes window bytes.
func greeting(window uint64) []byte {
	s := wire.Settings{Version: wire.Version, StreamWindow: window, SessionWindow: window}
	return frame(wire.TypeSettings, 0, 0, s.Append(nil))
}

func attacks() map[string]attack {
	greet := greeting(wire.DefaultStreamWindow)
	after := func(a attack) attack {
		return func(c net.Conn, stop <-chan struct{}) {
			c.Write(greet)
			a(c, stop)
		}
	}
	once := func(b []byte) attack {
		return func(c net.Conn, stop <-chan struct{}) { c.Write(b); <-stop }
	}
	longest := binary.LittleEndian.AppendUint64(nil, 3<<24|0xffffff|1<<32)
	return map[string]attack{
		"silence":         once(nil),
		"garbage":         once([]byte(strings.Repeat("\xde\xad\xbe\xef", 1000))),
		"half a greeting": once(greet[:5]),
		"half a frame":    after(once(openFrame(1, true, "echo")[:7])),
		"longest length":  after(once(longest)),
		"second SETTINGS": after(once(greet)),
		"rapid reset": after(repeat(100_000, func(i int) []byte {
			id := uint32(i%1000 + 1)
			return append(openFrame(id, i == 0, "wait"), frame(wire.TypeReset, 0, id, []byte{1})...)
		})),
		"PING flood":      after(repeat(200_000, func(int) []byte { return frame(wire.TypePing, 0, 0, make([]byte, 8)) })),
		"CREDIT overflow": after(repeat(1000, func(int) []byte { return frame(wire.TypeCredit, 0, 0, []byte{255, 255, 255, 255}) })),
		"window overrun": after(repeat(100, func(i int) []byte {
			if i == 0 {
				o := wire.Open{Number: 1, Name: []byte("talk")}
				return frame(wire.TypeOpen, 0, 1, o.Append(nil))
			}
			return frame(wire.TypeData, 0, 1, make([]byte, 60_000))
		})),
		"procedure numbers": after(repeat(20_000, func(i int) []byte {
			o := wire.Open{Number: uint32(i + 1), Name: []byte(strings.Repeat("n", 250))}
			return frame(wire.TypeOpen, wire.FlagEnd, uint32(i%1000+1), o.Append(nil))
		})),
	}
}

// While somebody misbehaves others are served, memory is bounded, and what the
// attacker cost is given back.
func TestHostilePeersHurtNobodyElse(t *testing.T) {
	ca := testkit.NewCA(t)
	node := newParty(t, ca, credentials.Leaf{})
	ep, err := rpcnet.Listen("127.0.0.1:0", node.creds, &rpcnet.EndpointConfig{Logger: rpctest.Logger(t), KeepaliveIdle: 200 * time.Millisecond, KeepaliveTimeout: time.Second, WriteTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); ep.Serve(context.Background(), echoServer(nil)) }()
	for !ep.Serves() {
		runtime.Gosched()
	}
	victim, err := rpcnet.Dial(within(t), ep.Addr().String(), node.creds, nil)
	if err != nil {
		t.Fatal(err)
	}
	mustEcho(t, victim, nil)
	goroutines, before := runtime.NumGoroutine(), heapInUse()
	for name, a := range attacks() {
		stop := make(chan struct{})
		var attackers sync.WaitGroup
		for range 2 {
			c, err := dialTLS(t, ep.Addr().String(), node.source.ClientConfig("127.0.0.1", []string{"rpcnet/1"}))
			if err != nil {
				t.Fatal(err)
			}
			attackers.Go(func() { a(c, stop); c.NetConn().Close() })
		}
		for i := range 50 {
			mustEcho(t, victim, make([]byte, i*1000))
		}
		if h := heapInUse(); h-before > 100<<20 {
			t.Errorf("%s: the heap grew by %d MiB", name, (h-before)>>20)
		}
		close(stop)
		attackers.Wait()
	}
	eventually(t, "the attackers' goroutines are gone", func() bool { return runtime.NumGoroutine() <= goroutines+maxIdleHandlers })
	runtime.GC()
	if h := heapInUse(); h-before > 50<<20 {
		t.Errorf("%d MiB of heap remain", (h-before)>>20)
	}
	victim.Close()
	ep.Close()
	<-served
}

// maxIdleHandlers is how many goroutines an endpoint keeps for handlers.
const maxIdleHandlers = 256

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

// A thousand connections that never finish their handshake keep nobody out.
func TestSlowHandshakesKeepNobodyOut(t *testing.T) {
	ep := rpctest.Serve(t, echoServer(nil), nil)
	var idle []net.Conn
	defer func() {
		for _, c := range idle {
			c.Close()
		}
	}()
	before := heapInUse()
	for i := range 1000 {
		c, err := net.Dial("tcp", ep.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
		c.Write([]byte{22, 3, 1, 2, 0, 1}) // the beginning of a ClientHello
		if i%250 == 0 {
			mustEcho(t, rpctest.Dial(t, ep.Addr().String(), nil), nil)
		}
	}
	mustEcho(t, rpctest.Dial(t, ep.Addr().String(), nil), nil)
	if h := heapInUse(); h-before > 100<<20 {
		t.Errorf("the heap grew by %d MiB", (h-before)>>20)
	}
}
