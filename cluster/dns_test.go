package cluster_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
)

// serveNames answers DNS over UDP with what d knows: IPv4 addresses for a name,
// none for one that has none, and nothing at all for one it does not know. It
// returns a function that looks names up there.
func serveNames(t testing.TB, d *names) func(ctx context.Context, host string) ([]string, error) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			size, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := d.answer(buf[:size]); answer != nil {
				server.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() { server.Close(); <-done })
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	return func(ctx context.Context, host string) ([]string, error) { return r.LookupHost(ctx, host+".") }
}

// answer returns the answer to a query (RFC 1035, section 4.1), or nil.
func (d *names) answer(query []byte) []byte {
	const header = 12
	name, end := "", header
	for end < len(query) && query[end] != 0 {
		size := int(query[end])
		if end+1+size >= len(query) {
			return nil
		}
		name += string(query[end+1:end+1+size]) + "."
		end += 1 + size
	}
	if end += 5; end > len(query) || name == "" {
		return nil
	}
	d.mu.Lock()
	ips, ok := d.known[name[:len(name)-1]]
	d.mu.Unlock()
	if !ok {
		return nil
	}
	if typ := binary.BigEndian.Uint16(query[end-4:]); typ != 1 { // A
		ips = nil
	}
	b := append([]byte(nil), query[:end]...)
	b[2], b[3] = 0x84, 0x80 // an answer, with authority; recursion is available
	binary.BigEndian.PutUint16(b[6:], uint16(len(ips)))
	binary.BigEndian.PutUint32(b[8:], 0) // nothing follows the answers
	for _, ip := range ips {
		a := netip.MustParseAddr(ip).As4()
		b = append(b, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // the name above, A, IN, for 0 s
		b = append(b, a[:]...)
	}
	return b
}
