package gossip

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
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
			err := t.HandleStream(conn, func(string) error { return verify })
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
	n := &testNode{port: newPort(t), counts: &counter{}, contacts: make(chan string, 16), controls: make(chan string, 16)}
	tr, err := New(Config{
		ID: id, Cluster: cluster, Endpoint: n.port, Advertise: n.port.addr(), Observer: n.counts,
		Contact: func(id string, _ netip.AddrPort) {
			select {
			case n.contacts <- id:
			default:
			}
		},
		Control: func(from string, msg []byte) { n.controls <- from + " " + string(msg) },
	})
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
	if err := a.Learn(b.me.id, b.PublicKey()); err != nil {
		t.Fatal(err)
	}
	if err := b.Learn(a.me.id, a.PublicKey()); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, n *testNode) string {
	t.Helper()
	select {
	case p := <-n.PacketCh():
		return string(p.Buf)
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

func TestPacketsCrossSealed(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	meet(t, a, b)
	for _, msg := range []string{"hello", "", "again"} {
		if _, err := a.WriteToAddress([]byte(msg), b.address()); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, b); got != msg {
			t.Errorf("got %q, want %q", got, msg)
		}
	}
	if err := b.SendControl("a@1", a.port.addr().String(), []byte("bye")); err != nil {
		t.Fatal(err)
	}
	if got := <-a.controls; got != "b@1 bye" {
		t.Errorf("control %q", got)
	}
}

func TestSealingAddsThirtyThreeBytesAndHidesTheContent(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	meet(t, a, b)
	msg := bytes.Repeat([]byte("secret"), 20)
	packet := a.me.seal(a.peer("b@1"), kindGossip, msg)
	if len(packet) != len(msg)+33 || Overhead != 33 {
		t.Errorf("%d bytes for a message of %d", len(packet), len(msg))
	}
	if packet[0] >= 0x40 {
		t.Errorf("first byte %#x collides with QUIC", packet[0])
	}
	if bytes.Contains(packet, []byte("secret")) {
		t.Error("the content can be read")
	}
	if again := a.me.seal(a.peer("b@1"), kindGossip, msg); bytes.Equal(again[packetHeader:], packet[packetHeader:]) {
		t.Error("the same message twice gives the same packet")
	}
}

func TestForgedPacketsAreCountedAndAnsweredByNothing(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	meet(t, a, b)
	good := a.me.seal(a.peer("b@1"), kindGossip, []byte("hello"))
	from := a.port.addr()
	flip := func(i int) []byte {
		c := bytes.Clone(good)
		c[i] ^= 1
		return c
	}
	for _, c := range []struct {
		what, reason string
		packet       []byte
	}{
		{"empty", PacketShort, nil},
		{"cut", PacketShort, good[:Overhead-1]},
		{"a byte less", PacketForged, good[:len(good)-1]},
		{"another kind", PacketKind, append([]byte{0x3f}, good[1:]...)},
		{"kind changed to control", PacketForged, append([]byte{kindControl}, good[1:]...)},
		{"sender changed", PacketUnknownSender, flip(1)},
		{"counter changed", PacketForged, flip(packetHeader - 1)},
		{"content changed", PacketForged, flip(packetHeader)},
		{"tag changed", PacketForged, flip(len(good) - 1)},
		{"back to its sender", PacketUnknownSender, nil},
	} {
		to := b
		if c.what == "back to its sender" {
			c.packet, to = good, a
		}
		before := to.counts.get(c.reason)
		to.HandlePacket(c.packet, from)
		if to.counts.get(c.reason) != before+1 {
			t.Errorf("%s: not counted as %s: %v", c.what, c.reason, to.counts.n)
		}
	}
	if len(b.PacketCh()) != 0 || len(a.PacketCh()) != 0 {
		t.Error("a forged packet got through")
	}
	if n := a.counts.get("packet in gossip") + b.counts.get("packet out gossip") + b.counts.get(SendNoKey); n != 0 {
		t.Error("something was answered")
	}
	b.HandlePacket(good, from)
	if receive(t, b) != "hello" {
		t.Error("the packet itself does not open")
	}
}

func TestReplayedPacketsAreRefusedInAnyOrder(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	meet(t, a, b)
	var recorded [][]byte
	for range 1500 {
		recorded = append(recorded, a.me.seal(a.peer("b@1"), kindGossip, []byte("x")))
	}
	accepted := 0
	feed := func(i int) {
		b.HandlePacket(recorded[i], a.port.addr())
		select {
		case <-b.PacketCh():
			accepted++
		default:
		}
	}
	for i := len(recorded) - 1; i >= 0; i-- { // worst order
		feed(i)
	}
	if accepted != windowSize {
		t.Errorf("%d packets accepted in reverse order, want the window of %d", accepted, windowSize)
	}
	for range 2 {
		for i := range recorded {
			feed(i)
		}
	}
	if accepted != windowSize {
		t.Errorf("%d replayed packets got through", accepted-windowSize)
	}
	if got := b.counts.get(PacketReplayed); got != 3*len(recorded)-windowSize {
		t.Errorf("%d counted as replayed, want %d", got, 3*len(recorded)-windowSize)
	}
}

func TestReplayWindowMatchesAPlainSet(t *testing.T) {
	t.Parallel()
	var w replayWindow
	seen := map[uint64]bool{}
	top := uint64(0)
	x := uint64(1)
	for range 200_000 {
		x = x*6364136223846793005 + 1442695040888963407
		n := top + x>>40%40 - min(top, x>>50%1100)
		if x>>60 == 0 {
			n = top + x>>45%5000 // a jump
		}
		want := !seen[n] && (n > top || top-n < windowSize)
		if got := w.accept(n); got != want {
			t.Fatalf("accept(%d) with top %d: %v, want %v", n, top, got, want)
		}
		if want {
			seen[n] = true
			top = max(top, n)
		}
	}
}

func TestARestartedNodeCannotBeSpokenForByItsOldPackets(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	meet(t, a, b)
	old := a.me.seal(a.peer("b@1"), kindGossip, []byte("old"))
	b2 := newNode(t, "b@2", "c") // b restarts: new boot, new key
	if err := b2.Learn(a.me.id, a.PublicKey()); err != nil {
		t.Fatal(err)
	}
	b2.HandlePacket(old, a.port.addr())
	if b2.counts.get(PacketForged) != 1 || len(b2.PacketCh()) != 0 {
		t.Error("a packet to the old boot opened in the new one")
	}
}

func TestNodesOfAnotherClusterDeriveOtherKeys(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "prod"), newNode(t, "b@1", "test")
	meet(t, a, b)
	b.HandlePacket(a.me.seal(a.peer("b@1"), kindGossip, []byte("x")), a.port.addr())
	if b.counts.get(PacketForged) != 1 {
		t.Error("a packet of another cluster opened")
	}
}

func TestKeysOfLowOrderAreOfNoUse(t *testing.T) {
	t.Parallel()
	a := newNode(t, "a@1", "c")
	if err := a.Learn("evil@1", [KeySize]byte{}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.WriteToAddress([]byte("x"), memberlist.Address{Name: "evil@1", Addr: "127.0.0.1:9"}); err != nil {
		t.Fatal(err)
	}
	if a.counts.get(SendNoKey) != 1 {
		t.Error("something was sealed with a key everybody knows")
	}
}

func TestAKeyProvedByACertificateReplacesHearsayAndNotTheOtherWayRound(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	if err := a.Learn("b@1", [KeySize]byte{9}); err != nil { // a lie
		t.Fatal(err)
	}
	if _, err := a.Identify(b.port.addr().String(), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if got := a.peer("b@1").key; got != b.PublicKey() {
		t.Error("the lie was kept")
	}
	a.Learn("b@1", [KeySize]byte{9})
	if got := a.peer("b@1").key; got != b.PublicKey() {
		t.Error("hearsay replaced a proved key")
	}
}

// Trap: memberlist does not count a probe whose WriteTo failed with any error
// but a *net.OpError, so that a dead node behind such a transport is never found
// dead.
func TestSendingFailsWithNothingButNetOpErrors(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	meet(t, a, b)
	a.port.mu.Lock()
	a.port.failing = true
	a.port.mu.Unlock()
	for _, to := range []memberlist.Address{
		b.address(), {Name: "b@1", Addr: "not an address"}, {Name: "unknown@1", Addr: "127.0.0.1:9"}, {Addr: b.port.addr().String()},
	} {
		_, err := a.WriteToAddress([]byte("x"), to)
		var op *net.OpError
		if err != nil && (!errors.As(err, &op) || op.Op != "write" || op.Net != "udp" || err != error(op)) {
			t.Errorf("%v: %T %v", to, err, err)
		}
	}
	until(t, "the failure to be counted", func() bool { return a.counts.get(SendFailed) >= 2 })
}

// Trap: memberlist probes from one goroutine; a WriteTo that blocks stops all
// failure detection.
func TestSendingNeverWaitsForTheSocket(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	meet(t, a, b)
	release := make(chan struct{})
	a.port.mu.Lock()
	a.port.block = release
	a.port.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 3 * sendQueue {
			a.WriteToAddress([]byte("x"), b.address())
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("WriteToAddress waits for a socket that does not take packets")
	}
	close(release)
	<-done
	if a.counts.get(SendOverrun) == 0 {
		t.Error("the overrun was not counted")
	}
	receive(t, b) // and goes on
}

func TestAPacketToAnUnknownNodeFetchesItsKeyOnce(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	for range 10 {
		a.WriteToAddress([]byte("x"), b.address())
	}
	until(t, "the key", func() bool { return a.Knows("b@1") && b.Knows("a@1") })
	a.WriteToAddress([]byte("now"), b.address())
	if got := receive(t, b); got != "now" {
		t.Errorf("got %q", got)
	}
	if got := a.counts.get("stream out key"); got != 1 {
		t.Errorf("%d connections for the key, want 1", got)
	}
}

func TestStreamsCarryMemberlistAfterTheHello(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	c, err := a.DialAddressTimeout(b.address(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := <-b.StreamCh()
	defer s.Close()
	go c.Write([]byte("push"))
	got := make([]byte, 4)
	if _, err := io.ReadFull(s, got); err != nil || string(got) != "push" {
		t.Errorf("%q, %v", got, err)
	}
	if !a.Knows("b@1") || !b.Knows("a@1") {
		t.Error("the hello taught no keys")
	}
	if id := <-b.contacts; id != "a@1" {
		t.Errorf("contact of %s", id)
	}
	b.SetPresent("a@1", true)
	if addr, ok := b.Address("a@1"); !ok || addr != a.port.addr() {
		t.Errorf("address %v", addr)
	}
}

func TestDialingOneNodeAndReachingAnotherFails(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@2", "c")
	_, err := a.DialAddressTimeout(memberlist.Address{Name: "b@1", Addr: b.port.addr().String()}, 5*time.Second)
	var other *OtherNodeError
	if !errors.As(err, &other) || other.Got != "b@2" || other.Want != "b@1" {
		t.Fatalf("got %v", err)
	}
	if id := <-a.contacts; id != "b@2" {
		t.Errorf("contact of %s", id)
	}
}

// dialRaw opens a connection as anyone with a certificate can.
func dialRaw(t testing.TB, to *testNode) net.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", to.port.addr().String(), testTLS())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

func TestHellosThatAreRefusedAreAnsweredByNotOneByte(t *testing.T) {
	t.Parallel()
	b := newNode(t, "b@1", "c")
	good := hello{kind: kindState, cluster: clusterHash("c"), key: [KeySize]byte{1}, id: "a@1", addr: b.port.addr()}
	with := func(f func(*hello)) []byte {
		h := good
		f(&h)
		return h.append(nil)
	}
	for _, c := range []struct {
		what, reason string
		hello        []byte
	}{
		{"another cluster", HelloCluster, with(func(h *hello) { h.cluster = clusterHash("d") })},
		{"itself", HelloNode, with(func(h *hello) { h.id = "b@1" })},
		{"no boot", HelloMalformed, with(func(h *hello) { h.id = "a" })},
		{"a slash in the name", HelloMalformed, with(func(h *hello) { h.id = "a/b@1" })},
		{"an unknown kind", HelloMalformed, with(func(h *hello) { h.kind = 'X' })},
		{"another version", HelloMalformed, append([]byte("rgm2"), with(func(*hello) {})[4:]...)},
		{"an HTTP request", HelloMalformed, []byte("GET / HTTP/1.1\r\nHost: example.org\r\nAccept: everything there is to be had\r\n\r\n")},
		{"a key of another", HelloNode, nil},
	} {
		if c.what == "a key of another" {
			if err := b.install("z@1", [KeySize]byte{7}, netip.AddrPort{}, true); err != nil {
				t.Fatal(err)
			}
			c.hello = with(func(h *hello) { h.id = "z@1" })
		}
		before := b.counts.get(c.reason)
		conn := dialRaw(t, b)
		if _, err := conn.Write(c.hello); err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(conn); len(got) != 0 {
			t.Errorf("%s: answered %q", c.what, got)
		}
		until(t, c.what+" to be counted", func() bool { return b.counts.get(c.reason) == before+1 })
	}
	b.port.mu.Lock()
	b.port.verify = errors.New("not on the list")
	b.port.mu.Unlock()
	conn := dialRaw(t, b)
	conn.Write(good.append(nil))
	if got, _ := io.ReadAll(conn); len(got) != 0 {
		t.Errorf("a refused name was answered %q", got)
	}
	if len(b.StreamCh()) != 0 || b.Knows("a@1") {
		t.Error("a refused hello had an effect")
	}
}

func TestAnEvictedNodeIsNotHeardAnyMore(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	c, err := a.DialAddressTimeout(b.address(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := <-b.StreamCh()
	defer s.Close()
	b.Evict("a@1")
	if _, err := io.ReadAll(s); err == nil {
		t.Error("its connection stays open")
	}
	b.HandlePacket(a.me.seal(a.peer("b@1"), kindGossip, []byte("x")), a.port.addr())
	if b.counts.get(PacketUnknownSender) != 1 {
		t.Error("its packets still open")
	}
	if err := b.Learn("a@1", a.PublicKey()); err == nil {
		t.Error("gossip brings its key back")
	}
	if _, err := a.Identify(b.port.addr().String(), 5*time.Second); err == nil {
		t.Error("its hello is accepted")
	}
}

func TestShutdownEndsDialsAndConnections(t *testing.T) {
	t.Parallel()
	a := newNode(t, "a@1", "c")
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	failed := make(chan error)
	go func() {
		_, err := a.DialAddressTimeout(memberlist.Address{Addr: silent.Addr().String()}, time.Hour)
		failed <- err
	}()
	until(t, "the dial", func() bool {
		c, err := silent.Accept()
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return err == nil
	})
	a.Shutdown()
	a.Shutdown()
	if err := <-failed; err == nil {
		t.Error("a dial outlived Shutdown")
	}
	if _, err := a.Identify("127.0.0.1:9", time.Second); err == nil {
		t.Error("a dial after Shutdown")
	}
}

func TestTheTableOfKeysIsBounded(t *testing.T) {
	t.Parallel()
	a := newNode(t, "a@1", "c")
	var err error
	for i := 0; err == nil && i <= maxPeers; i++ {
		err = a.Learn("n@"+big.NewInt(int64(i)).Text(36), [KeySize]byte{1, byte(i), byte(i >> 8)})
	}
	if err == nil || len(a.peers) != maxPeers {
		t.Errorf("%d peers, %v", len(a.peers), err)
	}
}
