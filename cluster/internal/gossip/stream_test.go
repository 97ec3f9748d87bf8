package gossip

import (
	"crypto/tls"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

func TestAPacketToAnUnknownNodeFetchesItsKeyOnce(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	for range 10 {
		a.WriteToAddress(said("x"), b.address())
	}
	until(t, "the key", func() bool { return a.Knows("b@1") && b.Knows("a@1") })
	a.WriteToAddress(said("now"), b.address())
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
	go c.Write([]byte("\x00ping"))
	got := make([]byte, 5)
	if _, err := io.ReadFull(s, got); err != nil || string(got) != "\x00ping" {
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
			if err := b.keys.prove(hello{id: "z@1", key: [KeySize]byte{7}}); err != nil {
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
	b.HandlePacket(a.me.seal(a.keys.peer("b@1"), kindGossip, said("x")), a.port.addr())
	if b.counts.get(PacketUnknownSender) != 1 {
		t.Error("its packets still open")
	}
	if err := b.Learn("a@1", a.PublicKey(), netip.AddrPort{}); err == nil {
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
	for i := range maxPeers + maxPeers/8 { // nobody of them comes into the view
		if err := a.Learn("n@"+big.NewInt(int64(i)).Text(36), [KeySize]byte{1, byte(i), byte(i >> 8)}, netip.AddrPort{}); err != nil {
			t.Fatal(err)
		}
		if len(a.keys.peers) > maxPeers || len(a.keys.shorts) != len(a.keys.peers) {
			t.Fatalf("%d peers, %d short ids", len(a.keys.peers), len(a.keys.shorts))
		}
	}
}
