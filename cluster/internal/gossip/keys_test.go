package gossip

import (
	"encoding/binary"
	"io"
	"math/big"
	"net/netip"
	"testing"
	"time"
)

func counterOf(packet []byte) uint64 { return binary.BigEndian.Uint64(packet[9:]) }

// relearn makes a node drop the other's keys and take them up again.
func relearn(t testing.TB, a, b *testNode) {
	t.Helper()
	a.Forget(b.me.id)
	if err := a.Learn(b.me.id, b.PublicKey(), netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
}

func TestNoCounterRepeatsUnderAKeyWhateverIsForgotten(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	meet(t, a, b)
	last := uint64(0)
	for round := range 20 {
		for range 100 {
			n := counterOf(a.me.seal(a.keys.peer("b@1"), kindGossip, said("x")))
			if n <= last {
				t.Fatalf("counter %d after %d, in round %d", n, last, round)
			}
			last = n
		}
		relearn(t, a, b)
	}
}

func TestRecordedPacketsDoNotOpenAfterTheirSenderWasForgotten(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"the receiver forgot", "the sender forgot", "both forgot"} {
		a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
		meet(t, a, b)
		var recorded [][]byte
		send := func(n int) {
			t.Helper()
			for range n {
				p := a.me.seal(a.keys.peer("b@1"), kindGossip, said("x"))
				recorded = append(recorded, p)
				b.HandlePacket(p, a.port.addr())
				if receive(t, b) != "x" {
					t.Errorf("%s: a packet got lost", who)
				}
			}
		}
		for range 3 {
			send(50)
			if who != "the sender forgot" {
				relearn(t, b, a)
			}
			if who != "the receiver forgot" {
				relearn(t, a, b)
			}
			before := b.counts.get(PacketReplayed)
			for _, p := range recorded {
				b.HandlePacket(p, a.port.addr())
			}
			if got := b.counts.get(PacketReplayed) - before; got != len(recorded) || len(b.PacketCh()) != 0 {
				t.Errorf("%s: %d of %d recorded packets were refused", who, got, len(recorded))
			}
		}
		send(1)
	}
}

func TestWhatIsKeptOfTheForgottenIsBounded(t *testing.T) {
	t.Parallel()
	s := tombstones{top: map[uint64]uint64{}}
	for i := range uint64(maxPeers + 100) {
		p := &peer{short: i}
		s.bury(p) // never heard: nothing to keep
		p.window.accept(i + 1)
		s.bury(p)
		s.bury(p)
	}
	if len(s.top) != maxPeers || len(s.order) != maxPeers || s.top[99] != 0 || s.top[100] != 101 {
		t.Errorf("%d kept in %d places, %d, %d", len(s.top), len(s.order), s.top[99], s.top[100])
	}
}

// knock says hello as anyone with a certificate can, under any name, and
// reports whether it was answered.
func knock(t testing.TB, to *testNode, id string, key [KeySize]byte) bool {
	t.Helper()
	conn := dialRaw(t, to)
	h := hello{kind: kindKey, cluster: clusterHash("c"), key: key, id: id, addr: netip.MustParseAddrPort("127.0.0.1:9")}
	if _, err := conn.Write(h.append(nil)); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(conn)
	return len(got) > 0
}

func TestAHelloDoesNotTakeTheNameOfANodeThatWasHeard(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	meet(t, a, b)
	if _, err := a.WriteToAddress(said("here"), b.address()); err != nil {
		t.Fatal(err)
	}
	receive(t, b)
	if knock(t, b, "a@1", [KeySize]byte{9}) {
		t.Error("another's hello was accepted")
	}
	if _, err := a.WriteToAddress(said("still here"), b.address()); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, b); got != "still here" {
		t.Errorf("%q", got)
	}
	if _, err := a.Identify(b.address().Addr, 5*time.Second); err != nil {
		t.Errorf("its own hello: %v", err)
	}
}

func TestWhereNamesAreBoundAHelloWinsOverHearsay(t *testing.T) {
	t.Parallel()
	a := newNode(t, "a@1", "c")
	b := newNodeWith(t, "b@1", "c", func(c *Config) { c.NamesBound = true })
	liar := newNode(t, "a@1", "c") // with the name of a, whom b knows only by what it says
	meet(t, liar, b)
	if _, err := liar.WriteToAddress(said("here"), b.address()); err != nil {
		t.Fatal(err)
	}
	receive(t, b)
	if err := liar.SendControl("b@1", b.address().Addr, []byte("bye")); err != nil {
		t.Fatal(err)
	}
	until(t, "the control packet", func() bool { return b.counts.get("packet in control") == 1 })
	if len(b.controls) > 0 {
		t.Errorf("taken for what a said: %q", <-b.controls)
	}
	if _, err := a.Identify(b.address().Addr, 5*time.Second); err != nil || !b.Proved("a@1") || b.keys.peer("a@1").key != a.PublicKey() {
		t.Errorf("a's hello: %v", err)
	}
	if knock(t, b, "a@1", liar.PublicKey()) {
		t.Error("a proved key was replaced")
	}
}

func TestABootDoesNotMove(t *testing.T) {
	t.Parallel()
	a := newNode(t, "a@1", "c")
	here, there := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")
	for i, c := range []struct {
		addr netip.AddrPort
		ok   bool
	}{{here, true}, {there, false}, {here, true}} {
		if err := a.Learn("b@1", [KeySize]byte{1}, c.addr); (err == nil) != c.ok {
			t.Errorf("%d: at %v: %v", i, c.addr, err)
		}
	}
}

// invent returns names that nobody has.
func invent(i int) (id string, key [KeySize]byte) {
	binary.BigEndian.PutUint32(key[:], uint32(i)+1)
	return "junk@" + big.NewInt(int64(i)).Text(36), key
}

func TestANodeGetsInAfterTheTableWasFilledWithInventedOnes(t *testing.T) {
	t.Parallel()
	for name, fill := range map[string]func(a *testNode, i int){
		"hellos": func(a *testNode, i int) {
			id, key := invent(i)
			a.keys.prove(hello{id: id, key: key})
		},
		"gossip": func(a *testNode, i int) {
			id, key := invent(i)
			a.Learn(id, key, netip.AddrPort{})
			a.SetPresent(id, true)
		},
	} {
		a, b, c := newNode(t, "a@1", "c"), newNode(t, "b@1", "c"), newNode(t, "c@1", "c")
		if _, err := b.Identify(a.address().Addr, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		a.SetPresent("b@1", true)
		meet(t, a, c)
		a.SetPresent("c@1", true)
		if _, err := c.WriteToAddress(said("x"), a.address()); err != nil {
			t.Fatal(err)
		}
		receive(t, a)
		for i := range maxPeers + 100 {
			fill(a, i)
		}
		if got := len(a.keys.peers); got != maxPeers {
			t.Errorf("%s: %d peers", name, got)
		}
		d := newNode(t, "d@1", "c")
		if _, err := d.Identify(a.address().Addr, 5*time.Second); err != nil || !a.Knows("d@1") {
			t.Errorf("%s: a newcomer does not get in: %v", name, err)
		}
		if !a.Knows("b@1") || !a.Knows("c@1") {
			t.Errorf("%s: a node that runs was thrown out", name)
		}
		if len(a.keys.peers) > maxPeers || len(a.keys.shorts) != len(a.keys.peers) {
			t.Errorf("%s: %d peers, %d short ids", name, len(a.keys.peers), len(a.keys.shorts))
		}
		if name != "hellos" {
			continue
		}
		// Those who only knocked give way to hearsay after a while.
		a.keys.mu.Lock()
		for _, p := range a.keys.peers {
			p.at = p.at.Add(-time.Hour)
		}
		a.keys.full = time.Time{}
		a.keys.mu.Unlock()
		if err := a.Learn("e@1", [KeySize]byte{5}, netip.AddrPort{}); err != nil {
			t.Error(err)
		}
	}
}

func TestKeysOfThoseWhoOnlyKnockedAreSweptOut(t *testing.T) {
	t.Parallel()
	a := newNode(t, "a@1", "c")
	for i, name := range []string{"guest@1", "member@1", "remembered@1"} {
		a.keys.prove(hello{id: name, key: [KeySize]byte{1, byte(i)}})
	}
	a.SetPresent("member@1", true)
	remembered := func(id string) bool { return id == "remembered@1" }
	a.Sweep(time.Hour, remembered)
	if len(a.keys.peers) != 3 {
		t.Errorf("%d peers before it is time", len(a.keys.peers))
	}
	a.Sweep(0, remembered)
	if a.Knows("guest@1") || !a.Knows("member@1") || !a.Knows("remembered@1") {
		t.Errorf("%v", a.keys.peers)
	}
}
