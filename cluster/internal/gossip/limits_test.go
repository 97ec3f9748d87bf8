package gossip

import (
	"crypto/tls"
	"io"
	"testing"
	"time"
)

// Trap: whoever can connect but says nothing must not take more than a bounded
// part of a node, and not for ever.
func TestConnectionsWithoutAHelloAreFewAndShort(t *testing.T) {
	t.Parallel()
	n, peer := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	pending := func() int {
		n.conns.mu.Lock()
		defer n.conns.mu.Unlock()
		return n.conns.pending.all
	}
	dial := func() *tls.Conn {
		t.Helper()
		c, err := tls.Dial("tcp", n.address().Addr, testTLS())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	start := time.Now()
	silent := make([]*tls.Conn, maxHellosEach)
	for i := range silent {
		silent[i] = dial()
	}
	until(t, "all wait for a hello", func() bool { return pending() == maxHellosEach })
	if took := time.Since(start); took > helloTimeout*4/5 {
		t.Skipf("this machine took %v for %d connections, so that the first have ended", took, maxHellosEach)
	}
	if b, err := dial().Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("one too many read %d bytes and %v, want the end", b, err)
	}
	if _, err := peer.Identify(n.address().Addr, 2*time.Second); err == nil {
		t.Error("a node got in although there are too many")
	}
	if got := n.counts.get(HelloOverrun); got != 2 {
		t.Errorf("%d refused as too many, want 2", got)
	}
	until(t, "the silent ones are closed", func() bool { return pending() == 0 })
	if took := time.Since(start); took < helloTimeout {
		t.Errorf("closed %v after the first connection, want %v at least", took, helloTimeout)
	}
	if got := n.counts.get(HelloMalformed); got != maxHellosEach {
		t.Errorf("%d counted as no hello, want %d", got, maxHellosEach)
	}
	for _, c := range silent {
		if b, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a silent one read %d bytes and %v, want the end", b, err)
			break
		}
	}
	if id, err := peer.Identify(n.address().Addr, 2*time.Second); err != nil || id != "a@1" {
		t.Errorf("afterwards: %q, %v", id, err)
	}
}
