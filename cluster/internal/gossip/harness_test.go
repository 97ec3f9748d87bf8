package gossip

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A port is a small endpoint of the test's own: a TLS listener and a UDP socket
// on loopback, with a certificate of a throw-away authority.
type port struct {
	tcp net.Listener
	udp *net.UDPConn
	cfg *tls.Config
	wg  sync.WaitGroup

	mu      sync.Mutex
	t       *Transport
	refused error           // of the last stream that was not accepted
	verify  error           // what the name check says
	block   <-chan struct{} // WritePacket waits for it
	failing bool            // WritePacket fails
}

var testTLS = sync.OnceValue(func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, ServerName: "127.0.0.1",
	}
})

func newPort(t testing.TB) *port {
	t.Helper()
	p := &port{cfg: testTLS()}
	for range 20 { // TCP and UDP must agree on a free port
		var err error
		if p.tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if p.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(p.addr())); err == nil {
			break
		}
		p.tcp.Close()
		p.udp = nil
	}
	if p.udp == nil {
		t.Fatal("no port is free for TCP and UDP")
	}
	p.wg.Go(p.accept)
	p.wg.Go(p.receive)
	t.Cleanup(func() { p.tcp.Close(); p.udp.Close(); p.wg.Wait() })
	return p
}

func (p *port) addr() netip.AddrPort { return p.tcp.Addr().(*net.TCPAddr).AddrPort() }

func (p *port) accept() {
	for {
		c, err := p.tcp.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() {
			p.mu.Lock()
			t, verify := p.t, p.verify
			p.mu.Unlock()
			conn := tls.Server(c, p.cfg)
			if t == nil || conn.Handshake() != nil {
				c.Close()
				return
			}
			err := t.HandleStream(conn, "a certificate", func(string) error { return verify })
			p.mu.Lock()
			p.refused = err
			p.mu.Unlock()
		})
	}
}

func (p *port) receive() {
	buf := make([]byte, 65536)
	for {
		n, from, err := p.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		t := p.t
		p.mu.Unlock()
		if t != nil {
			t.HandlePacket(buf[:n], from)
		}
	}
}

func (p *port) Dial(ctx context.Context, addr string) (net.Conn, func(string) error, error) {
	d := tls.Dialer{Config: p.cfg}
	c, err := d.DialContext(ctx, "tcp", addr)
	return c, func(string) error { return nil }, err
}

func (p *port) WritePacket(b []byte, to netip.AddrPort) (int, error) {
	p.mu.Lock()
	block, failing := p.block, p.failing
	p.mu.Unlock()
	if block != nil {
		<-block
	}
	if failing {
		return 0, errors.New("no route to host")
	}
	return p.udp.WriteToUDPAddrPort(b, to)
}

// A counter is an Observer that counts.
type counter struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counter) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[what]++
}
func (c *counter) Packet(direction, kind string, _ int) { c.add("packet " + direction + " " + kind) }
func (c *counter) Stream(direction, kind string)        { c.add("stream " + direction + " " + kind) }
func (c *counter) Refused(reason string)                { c.add(reason) }
func (c *counter) get(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[what]
}

// A testNode is a transport on a port of its own.
type testNode struct {
	*Transport
	port     *port
	counts   *counter
	contacts chan string
	controls chan string
}

func newNode(t testing.TB, id, cluster string) *testNode {
	t.Helper()
	return newNodeWith(t, id, cluster, func(*Config) {})
}

func newNodeWith(t testing.TB, id, cluster string, edit func(*Config)) *testNode {
	t.Helper()
	n := &testNode{port: newPort(t), counts: &counter{}, contacts: make(chan string, 16), controls: make(chan string, 16)}
	cfg := Config{
		ID: id, Cluster: cluster, Endpoint: n.port, Advertise: n.port.addr(), Observer: n.counts,
		Contact: func(id string, _ netip.AddrPort, _ bool) {
			select {
			case n.contacts <- id:
			default:
			}
		},
		Control: func(from string, msg []byte) { n.controls <- from + " " + string(msg) },
	}
	edit(&cfg)
	tr, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Transport = tr
	n.port.mu.Lock()
	n.port.t = tr
	n.port.mu.Unlock()
	t.Cleanup(func() { tr.Shutdown() })
	return n
}

func (n *testNode) address() memberlist.Address {
	return memberlist.Address{Addr: n.port.addr().String(), Name: n.me.id}
}

// meet makes two nodes know each other's keys.
func meet(t testing.TB, a, b *testNode) {
	t.Helper()
	if err := a.Learn(b.me.id, b.PublicKey(), netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
	if err := b.Learn(a.me.id, a.PublicKey(), netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
}

// said is a message of memberlist's that carries a short text: an ack.
func said(text string) []byte {
	return []byte("\xf4\x08rpcnet/c\x02\x82\xa5SeqNo\x01\xa7Payload" + string([]byte{0xa0 + byte(len(text))}) + text)
}

func receive(t testing.TB, n *testNode) string {
	t.Helper()
	select {
	case p := <-n.PacketCh():
		text, ok := strings.CutPrefix(string(p.Buf), string(said("")[:len(said(""))-1]))
		if !ok || text == "" || int(text[0]-0xa0) != len(text)-1 {
			t.Fatalf("received %q", p.Buf)
		}
		return text[1:]
	case <-time.After(10 * time.Second):
		t.Fatal("no packet arrived")
		return ""
	}
}

// until polls for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for: %s", what)
		}
	}
}
