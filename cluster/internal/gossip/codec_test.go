package gossip

import (
	"bytes"
	"maps"
	"net/netip"
	"strings"
	"testing"
)

func TestMetaKeepsWhatItWasGiven(t *testing.T) {
	t.Parallel()
	for _, m := range []Meta{
		{},
		{Leaving: true, Key: [KeySize]byte{1, 2, 3}},
		{Tags: map[string]string{"role": "worker", "zone": "", "label": strings.Repeat("ö", 64)}, ServerName: "a.example"},
		{ServerName: strings.Repeat("x", MaxServerName)},
	} {
		got, err := ParseMeta(m.Append(nil))
		if err != nil || got.Leaving != m.Leaving || got.Key != m.Key || !maps.Equal(got.Tags, m.Tags) || got.ServerName != m.ServerName {
			t.Errorf("%v came back as %v, %v", m, got, err)
		}
	}
}

func TestMetaIsTakenApartWithCare(t *testing.T) {
	t.Parallel()
	good := (&Meta{Tags: map[string]string{"a": "1", "b": "2"}}).Append(nil)
	edit := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	for what, b := range map[string][]byte{
		"empty":            nil,
		"header cut":       good[:metaHeader-1],
		"another version":  edit(func(b []byte) []byte { b[0] = 2; return b }),
		"too many tags":    edit(func(b []byte) []byte { b[2], b[3] = 0xff, 0xff; return b }),
		"one tag more":     edit(func(b []byte) []byte { b[3]++; return b }),
		"cut":              good[:len(good)-1],
		"long string":      edit(func(b []byte) []byte { b[metaHeader] = 0x7f; return b }),
		"not UTF-8":        edit(func(b []byte) []byte { b[metaHeader+3] = 0xff; return b }),
		"out of order":     edit(func(b []byte) []byte { b[metaHeader+1] = 'c'; return b }),
		"twice":            edit(func(b []byte) []byte { b[metaHeader+1] = 'b'; return b }),
		"a name not there": edit(func(b []byte) []byte { b[1] = flagName; return b }),
		"a name cut":       edit(func(b []byte) []byte { b[1] = flagName; return append(b, 9, 'a') }),
		"an empty name":    edit(func(b []byte) []byte { b[1] = flagName; return append(b, 0) }),
		"a long name":      (&Meta{ServerName: strings.Repeat("x", MaxServerName+1)}).Append(nil),
		"a name in lines":  (&Meta{ServerName: "a\nb"}).Append(nil),
		"too large":        append(bytes.Clone(good), make([]byte, MaxMeta)...),
	} {
		if m, err := ParseMeta(b); err == nil {
			t.Errorf("%s: taken for %v", what, m)
		}
	}
	if m, err := ParseMeta(append(bytes.Clone(good), "of a later version"...)); err != nil || m.Tags["b"] != "2" {
		t.Errorf("what a later version adds: %v", err)
	}
}

func FuzzMeta(f *testing.F) {
	f.Add((&Meta{}).Append(nil))
	f.Add((&Meta{ServerName: "spiffe://prod.example/worker"}).Append(nil))
	f.Add((&Meta{Leaving: true, Key: [KeySize]byte{5}, Tags: map[string]string{"role": "worker", "z": ""}}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMeta(b)
		if err != nil {
			return
		}
		again, err := ParseMeta(m.Append(nil))
		if err != nil || again.Leaving != m.Leaving || again.Key != m.Key || !maps.Equal(again.Tags, m.Tags) || again.ServerName != m.ServerName {
			t.Errorf("%x: %v came back as %v, %v", b, m, again, err)
		}
	})
}

func FuzzHello(f *testing.F) {
	h := hello{kind: kindState, cluster: clusterHash("c"), key: [KeySize]byte{1}, id: "a@1", addr: netip.MustParseAddrPort("127.0.0.1:1")}
	f.Add(h.append(nil))
	h.addr, h.kind = netip.MustParseAddrPort("[::1]:65535"), kindKey
	f.Add(h.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHello(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := readHello(bytes.NewReader(h.append(nil)))
		if err != nil || again != h {
			t.Errorf("%x: %v came back as %v, %v", b, h, again, err)
		}
	})
}

// FuzzPacket feeds a transport packets made from what the fuzzer says: whatever
// is not exactly what the peer sealed must not open.
func FuzzPacket(f *testing.F) {
	a, err := newIdentity("a@1", "c")
	if err != nil {
		f.Fatal(err)
	}
	counts := &counter{}
	b, err := New(Config{ID: "b@1", Cluster: "c", Observer: counts})
	if err != nil {
		f.Fatal(err)
	}
	if err := b.Learn("a@1", a.pub, netip.AddrPort{}); err != nil {
		f.Fatal(err)
	}
	toB := newPeer("b@1", b.PublicKey())
	good := a.seal(toB, kindGossip, []byte("hello"))
	f.Add(good, -1)
	f.Add(good, 3)
	f.Add([]byte{kindGossip}, 0)
	f.Add(make([]byte, Overhead), 0)
	f.Fuzz(func(t *testing.T, packet []byte, at int) {
		real := a.seal(toB, kindGossip, []byte("real"))
		if at >= 0 && at < len(real) && len(packet) > 0 && packet[0] != 0 {
			real[at] ^= packet[0] // a forged copy of a real one
			b.HandlePacket(real, netip.AddrPort{})
		}
		if !bytes.Equal(packet, good) {
			b.HandlePacket(packet, netip.AddrPort{})
		}
		select {
		case p := <-b.PacketCh():
			t.Errorf("opened %q", p.Buf)
		default:
		}
	})
}
