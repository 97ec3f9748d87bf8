package gossip

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

func TestPacketsCrossSealed(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	meet(t, a, b)
	for _, msg := range []string{"hello", "", "again"} {
		if _, err := a.WriteToAddress(said(msg), b.address()); err != nil {
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
	packet := a.me.seal(a.keys.peer("b@1"), kindGossip, msg)
	if len(packet) != len(msg)+33 || Overhead != 33 {
		t.Errorf("%d bytes for a message of %d", len(packet), len(msg))
	}
	if packet[0] >= 0x40 {
		t.Errorf("first byte %#x collides with QUIC", packet[0])
	}
	if bytes.Contains(packet, []byte("secret")) {
		t.Error("the content can be read")
	}
	if again := a.me.seal(a.keys.peer("b@1"), kindGossip, msg); bytes.Equal(again[packetHeader:], packet[packetHeader:]) {
		t.Error("the same message twice gives the same packet")
	}
}

func TestForgedPacketsAreCountedAndAnsweredByNothing(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	meet(t, a, b)
	good := a.me.seal(a.keys.peer("b@1"), kindGossip, said("hello"))
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
		recorded = append(recorded, a.me.seal(a.keys.peer("b@1"), kindGossip, said("x")))
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
	old := a.me.seal(a.keys.peer("b@1"), kindGossip, said("old"))
	b2 := newNode(t, "b@2", "c") // b restarts: new boot, new key
	if err := b2.Learn(a.me.id, a.PublicKey(), netip.AddrPort{}); err != nil {
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
	b.HandlePacket(a.me.seal(a.keys.peer("b@1"), kindGossip, said("x")), a.port.addr())
	if b.counts.get(PacketForged) != 1 {
		t.Error("a packet of another cluster opened")
	}
}

func TestKeysOfLowOrderAreOfNoUse(t *testing.T) {
	t.Parallel()
	a := newNode(t, "a@1", "c")
	if err := a.Learn("evil@1", [KeySize]byte{}, netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.WriteToAddress(said("x"), memberlist.Address{Name: "evil@1", Addr: "127.0.0.1:9"}); err != nil {
		t.Fatal(err)
	}
	if a.counts.get(SendNoKey) != 1 {
		t.Error("something was sealed with a key everybody knows")
	}
}

func TestAKeyProvedByACertificateReplacesHearsayAndNotTheOtherWayRound(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	if err := a.Learn("b@1", [KeySize]byte{9}, netip.AddrPort{}); err != nil { // a lie
		t.Fatal(err)
	}
	if _, err := a.Identify(b.port.addr().String(), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if got := a.keys.peer("b@1").key; got != b.PublicKey() {
		t.Error("the lie was kept")
	}
	a.Learn("b@1", [KeySize]byte{9}, netip.AddrPort{})
	if got := a.keys.peer("b@1").key; got != b.PublicKey() {
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
		_, err := a.WriteToAddress(said("x"), to)
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
			a.WriteToAddress(said("x"), b.address())
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
