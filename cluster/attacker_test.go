package cluster_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/internal/extend"
)

// An attacker has a certificate of the authority and speaks the wire by hand, so
// that it may say what no transport would: any counter, any content.
type attacker struct {
	ep     *rpcnet.Endpoint // its certificate
	id     string
	priv   *ecdh.PrivateKey
	udp    *net.UDPConn
	victim place
	tx     cipher.AEAD
	short  [8]byte
	next   uint64
}

// A place is where a node is and how it is called.
type place struct{ id, addr string }

const attackedCluster = "attacked"

// newAttacker says hello to a node under a name.
func newAttacker(t testing.TB, ep *rpcnet.Endpoint, h *history, id string) *attacker {
	t.Helper()
	priv, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	self := h.Node.Self()
	a := &attacker{ep: ep, id: id, priv: priv, udp: udp, victim: place{self.ID(), self.Addr}, next: 1}
	conn, err := a.hello(t, 'K')
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	return a
}

// addr is where the attacker says it is.
func (a *attacker) addr() netip.AddrPort { return a.udp.LocalAddr().(*net.UDPAddr).AddrPort() }

// hello opens a stream of a kind; the keys follow from the victim's answer.
func (a *attacker) hello(t testing.TB, kind byte) (net.Conn, error) {
	conn, _, err := extend.Dial(t.Context(), a.ep, a.victim.addr, gossip.ALPN, nil)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	salt := sha256.Sum256([]byte("rpcnet-gossip/1 cluster\x00" + attackedCluster))
	b := append([]byte("rgm1"), kind)
	b = append(append(b, salt[:16]...), a.priv.PublicKey().Bytes()...)
	for _, s := range []string{a.id, a.addr().String()} {
		b = append(append(b, byte(len(s))), s...)
	}
	if _, err := conn.Write(b); err != nil {
		conn.Close()
		return nil, err
	}
	answer := make([]byte, 4+1+16+32+1)
	if _, err := io.ReadFull(conn, answer); err != nil {
		conn.Close()
		return nil, err
	}
	var key [32]byte
	copy(key[:], answer[21:])
	rest := make([]byte, int(answer[53])+1) // its id and a length
	if _, err := io.ReadFull(conn, rest); err != nil {
		conn.Close()
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, conn, int64(rest[len(rest)-1])); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, a.derive(key, salt[:16])
}

// derive makes the key of packets to the victim.
func (a *attacker) derive(victim [32]byte, salt []byte) error {
	pub, err := ecdh.X25519().NewPublicKey(victim[:])
	if err != nil {
		return err
	}
	secret, err := a.priv.ECDH(pub)
	if err != nil {
		return err
	}
	own := a.priv.PublicKey().Bytes()
	info := "rpcnet-gossip/1 packets\x00"
	for _, s := range []string{a.id, a.victim.id} {
		info += string([]byte{byte(len(s))}) + s
	}
	key, err := hkdf.Key(sha256.New, secret, salt, info+string(own)+string(victim[:]), 32)
	if err != nil {
		return err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(append([]byte(a.id+"\x00"), own...))
	copy(a.short[:], sum[:8])
	a.tx, err = cipher.NewGCM(block)
	return err
}

// seal returns a packet with a counter.
func (a *attacker) seal(kind byte, counter uint64, msg []byte) []byte {
	b := append([]byte{kind}, a.short[:]...)
	b = binary.BigEndian.AppendUint64(b, counter)
	nonce := binary.BigEndian.AppendUint64(make([]byte, 4), counter)
	return a.tx.Seal(b, nonce, msg, b)
}

// send sends a packet to the victim.
func (a *attacker) send(b []byte) error {
	_, err := a.udp.WriteToUDPAddrPort(b, netip.MustParseAddrPort(a.victim.addr))
	return err
}

// tell sends messages of memberlist's, as one packet if there are several.
func (a *attacker) tell(parts ...[]byte) error {
	b := append([]byte("\xf4"), byte(len("rpcnet/"+attackedCluster)))
	b = append(b, "rpcnet/"+attackedCluster...)
	if len(parts) == 1 {
		b = append(b, parts[0]...)
	} else {
		b = append(b, 7, byte(len(parts)))
		for _, p := range parts {
			b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
		}
		for _, p := range parts {
			b = append(b, p...)
		}
	}
	a.next++
	return a.send(a.seal(1, a.next, b))
}

// ping is a ping from the attacker to its victim.
func (a *attacker) ping(seq int) []byte {
	at := a.addr()
	return pack(0, "SeqNo", seq, "Node", a.victim.id, "SourceAddr", at.Addr().AsSlice(), "SourcePort", int(at.Port()), "SourceNode", a.id)
}

// answered reports whether the victim answers a ping within d.
func (a *attacker) answered(d time.Duration) error {
	deadline := time.Now().Add(d)
	b := make([]byte, 64<<10)
	for seq := 1; time.Now().Before(deadline); seq++ {
		if err := a.tell(a.ping(seq)); err != nil {
			return err
		}
		a.udp.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, _, err := a.udp.ReadFromUDPAddrPort(b); err == nil {
			return nil
		}
	}
	return fmt.Errorf("no answer to a ping in %v", d)
}

// endsWithin runs f, which must end within d.
func endsWithin(t testing.TB, what string, d time.Duration, f func()) (took time.Duration) {
	t.Helper()
	start, done := time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(d):
		t.Errorf("%s has not ended after %v", what, d)
	}
	return time.Since(start)
}

var errNotYet = errors.New("not yet")
