package gossip

import (
	"fmt"
	"io"
	"math"
	"net/netip"
	"testing"
	"time"
)

// The attacks of docs/security.md that need no node, only its transport. See the
// file of the same name of package cluster.

func redteam(t testing.TB, attack, bound, measured string) {
	t.Helper()
	t.Logf("redteam | %s | %s | %s", attack, bound, measured)
}

func TestAttack01CountersThatOverflowTheWindow(t *testing.T) {
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	meet(t, a, b)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var w replayWindow
		for _, n := range []uint64{math.MaxUint64 - 1, math.MaxUint64, math.MaxUint64 - 5, 1, math.MaxUint64} {
			w.accept(n)
		}
	}()
	select {
	case <-done:
		redteam(t, "a replay window at the end of its numbers", "10 s", "ends")
	case <-time.After(10 * time.Second):
		t.Fatal("the window does not end")
	}
	// Nor does the sender go round.
	a.keys.peer("b@1").sent.Store(math.MaxUint64 - 1)
	for range 3 {
		if p := a.me.seal(a.keys.peer("b@1"), kindGossip, nil); p != nil {
			t.Errorf("sealed with counter %d", counterOf(p))
		}
	}
}

func TestAttack07APeerThatNeverEnds(t *testing.T) {
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	meet(t, a, b)
	ack := []byte("\xf4\x08rpcnet/c\x02\x82\xa5SeqNo\x01\xa7Payload\xa1x")
	const sent = 100_000
	passed, start := 0, time.Now()
	for range sent {
		b.HandlePacket(a.me.seal(a.keys.peer("b@1"), kindGossip, ack), a.port.addr())
		select {
		case <-b.PacketCh():
			passed++
		default:
		}
	}
	limit := 2 * (8000 + int(4000*time.Since(start).Seconds()))
	if passed > limit {
		t.Errorf("%d of %d packets reach memberlist, want %d at most", passed, sent, limit)
	}
	redteam(t, fmt.Sprintf("%d packets of one member in %v", sent, time.Since(start).Round(time.Millisecond)),
		fmt.Sprintf("%d for memberlist", limit), fmt.Sprint(passed))
}

func TestAttack07ExchangesThatAnnounceMuch(t *testing.T) {
	b := newNode(t, "b@1", "c")
	const streams = 30
	admitted := 0
	for i := range streams {
		conn := dialRaw(t, b)
		h := hello{kind: kindState, cluster: clusterHash("c"), key: [KeySize]byte{1, byte(i)}, id: fmt.Sprintf("x%d@1", i), addr: netip.MustParseAddrPort("127.0.0.1:9")}
		if _, err := conn.Write(h.append(nil)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "\x06\x83\xa5Nodes\xcd\x4e\x20\xacUserStateLen\x00\xa4Join\xc3"); err != nil {
			t.Fatal(err)
		}
		s := <-b.StreamCh()
		t.Cleanup(func() { s.Close() })
		if _, err := s.Read(make([]byte, 4096)); err == nil {
			admitted++
		}
	}
	const limit = 4
	if admitted > limit {
		t.Errorf("%d exchanges of 20 000 nodes each are read at once, want %d at most", admitted, limit)
	}
	redteam(t, fmt.Sprintf("%d exchanges of 20 000 nodes each by one certificate", streams), fmt.Sprintf("%d read at once", limit), fmt.Sprint(admitted))
}
