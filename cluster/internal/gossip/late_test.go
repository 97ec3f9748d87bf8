package gossip

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// memberlist suspects nobody for a probe that a late node does not send, and what the
// node has to say otherwise is sent.
func TestALateNodeSendsNoProbes(t *testing.T) {
	t.Parallel()
	var late atomic.Bool
	late.Store(true)
	a := newNodeWith(t, "a@1", "c", func(cfg *Config) { cfg.Blind = func(id string) bool { return late.Load() && id == "b@1" } })
	b := newNode(t, "b@1", "c")
	meet(t, a, b)
	at := a.cfg.Advertise
	ping := written(typePing, "SeqNo", 1, "Node", "b@1", "SourceAddr", at, "SourcePort", int(at.Port()), "SourceNode", "a@1")
	nack := written(typeNack, "SeqNo", 1)
	summed := append([]byte("\xf4\x08rpcnet/c"), typeChecksum, 1, 2, 3, 4)
	for what, p := range map[string][]byte{"a probe": packet(ping), "a probe with news": packet(ping, nack), "with a checksum": append(summed, ping...)} {
		var remote *net.OpError
		if _, err := a.WriteToAddress(p, b.address()); !errors.Is(err, errBlind) || errors.As(err, &remote) {
			t.Errorf("%s: %v, want an error that memberlist does not count", what, err)
		}
	}
	for what, p := range map[string][]byte{"a nack": packet(nack), "a nack before a ping": packet(nack, ping), "nothing": packet(nil)} {
		if _, err := a.WriteToAddress(p, b.address()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	late.Store(false)
	if _, err := a.WriteToAddress(packet(ping), b.address()); err != nil {
		t.Errorf("a node that is not late: %v", err)
	}
}

// A node that hears of refutations too late does not listen to suspicions, but for those of
// itself, which it must refute.
func TestALateNodeDoesNotListenToSuspicions(t *testing.T) {
	t.Parallel()
	var late atomic.Bool
	late.Store(true)
	a := newNodeWith(t, "a@1", "c", func(cfg *Config) { cfg.Late = late.Load })
	b := newNode(t, "b@1", "c")
	meet(t, a, b)
	p := a.keys.peer("b@1")
	screened := func(what, want string, parts ...[]byte) {
		t.Helper()
		if got, refused := a.screener.screen(p, packet(parts...), time.Now()); string(got) != want || refused != "" {
			t.Errorf("%s: %q, refused %q, want %q", what, got, refused, want)
		}
	}
	accused, dead := gone(typeSuspect, "b@1", 1), gone(typeDead, "b@1", 1)
	self := gone(typeSuspect, "a@1", 1)
	screened("a suspicion", "", accused)
	screened("a suspicion and a death", string(join("\xf4\x08rpcnet/c", [][]byte{dead})), accused, dead)
	screened("a suspicion of itself", string(packet(self)), self)
	c := newConn(a.Transport, nil, "")
	c.id = "b@1"
	suspect := message{"Name": {kind: valueText, text: []byte("b@1")}, "State": {kind: valueNumber, number: stateSuspect}, "Incarnation": {kind: valueNumber, number: 1}}
	if keep, err := c.screenState(suspect); keep || err != nil {
		t.Errorf("a suspicion in an exchange: %v, %v", keep, err)
	}
	if n := a.counts.get(GossipLate); n != 3 {
		t.Errorf("%d suspicions counted, want 3", n)
	}
	late.Store(false)
	screened("a node that is not late", string(packet(accused)), accused)
	if keep, err := c.screenState(suspect); !keep || err != nil {
		t.Errorf("in an exchange of a node that is not late: %v, %v", keep, err)
	}
}

// What a late node waits for takes longer.
func TestALateNodeHasPatience(t *testing.T) {
	t.Parallel()
	a := newNodeWith(t, "a@1", "c", func(cfg *Config) { cfg.Patience = func(d time.Duration) time.Duration { return d + time.Hour } })
	b := newNode(t, "b@1", "c")
	conn, err := a.DialAddressTimeout(b.address(), time.Nanosecond)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	// The answers of all members at once are wanted at a certain time.
	if id, err := a.Identify(b.port.addr().String(), time.Nanosecond); err == nil {
		t.Errorf("%s was identified within no time", id)
	}
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := newConn(a.Transport, ours, "")
	if err := c.SetDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	go theirs.Write([]byte{0})
	if _, err := c.Conn.Read(make([]byte, 1)); err != nil {
		t.Errorf("a deadline of a late node: %v", err)
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}
