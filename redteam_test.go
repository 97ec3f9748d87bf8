package rpcnet_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// redteam notes what an attack was bounded by and what it came to, for the
// table of attacks.
func redteam(t *testing.T, attack string, bound, measured any) {
	t.Helper()
	t.Logf("redteam | %s | %v | %v", attack, bound, measured)
}

// A handmade is a caller that speaks frames by hand over real TLS.
type handmade struct {
	testing.TB
	c net.Conn
}

// newHandmade connects with p's certificate and exchanges SETTINGS.
func newHandmade(t testing.TB, ep *rpcnet.Endpoint, p party) *handmade {
	t.Helper()
	c, err := dialTLS(t, ep.Addr().String(), p.source.ClientConfig("127.0.0.1", []string{"rpcnet/1"}))
	if err != nil {
		t.Fatal(err)
	}
	h := &handmade{t, c}
	if f, p := h.greet(); f.Type() != wire.TypeSettings {
		t.Fatalf("want SETTINGS, got %v %q", f.Type(), p)
	}
	return h
}

// greet sends SETTINGS and returns the answer.
func (h *handmade) greet() (wire.Header, []byte) {
	h.send(greeting(wire.DefaultStreamWindow))
	return h.next()
}

// send writes frames. That the endpoint has hung up is no failure of the test.
func (h *handmade) send(b []byte) error {
	h.c.SetWriteDeadline(time.Now().Add(patience))
	_, err := h.c.Write(b)
	return err
}

// next reads a frame, one without a type when the endpoint has hung up.
func (h *handmade) next() (wire.Header, []byte) {
	h.Helper()
	h.c.SetReadDeadline(time.Now().Add(patience))
	var b [wire.HeaderLen]byte
	if _, err := io.ReadFull(h.c, b[:]); err != nil {
		return 0, nil
	}
	f := wire.ParseHeader(b[:])
	p := make([]byte, f.Len())
	if _, err := io.ReadFull(h.c, p); err != nil {
		return 0, nil
	}
	return f, p
}

// farewell reads until the endpoint hangs up and returns the text of its GOAWAY.
func (h *handmade) farewell() string {
	h.Helper()
	for {
		f, p := h.next()
		switch f.Type() {
		case 0:
			return ""
		case wire.TypeGoAway:
			return string(bytes.TrimLeft(p, "\x00\x01\x02\x03\x04\x05"))
		}
	}
}

// stopsInTime shuts an endpoint down that is under attack.
func stopsInTime(t *testing.T, ep *rpcnet.Endpoint) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	begin := time.Now()
	ep.Shutdown(ctx)
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("the endpoint took %v to stop, with a second to drain", d)
	}
}
