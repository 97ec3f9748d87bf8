package gossip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// written is a message as memberlist writes it.
func written(kind byte, fields ...any) []byte {
	b := []byte{kind, 0x80 | byte(len(fields)/2)}
	for _, f := range fields {
		switch f := f.(type) {
		case string:
			b = append(binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(f))), f...)
		case int:
			b = binary.BigEndian.AppendUint32(append(b, 0xce), uint32(f))
		case uint32:
			b = binary.BigEndian.AppendUint32(append(b, 0xce), f)
		case netip.AddrPort:
			a := string(f.Addr().AsSlice())
			b = append(binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(a))), a...)
		}
	}
	return b
}

func alive(id string, incarnation uint32, at netip.AddrPort) []byte {
	return written(typeAlive, "Incarnation", incarnation, "Node", id, "Addr", at, "Port", int(at.Port()),
		"Meta", string((&Meta{Key: [KeySize]byte{1}}).Append(nil)), "Vsn", "\x01\x05\x02\x00\x00\x00")
}

func gone(kind byte, id string, incarnation uint32) []byte {
	return written(kind, "Incarnation", incarnation, "Node", id, "From", "x@1")
}

func packet(parts ...[]byte) []byte {
	label := "\xf4\x08rpcnet/c"
	if len(parts) == 1 {
		return append([]byte(label), parts[0]...)
	}
	return join(label, parts)
}

func TestPacketsThatNoNodeSendsDoNotReachMemberlist(t *testing.T) {
	t.Parallel()
	here, there := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")
	b := newNode(t, "b@1", "c")
	for id, at := range map[string]netip.AddrPort{"a@1": here, "c@1": there} {
		if err := b.Learn(id, [KeySize]byte{9, id[0]}, at); err != nil {
			t.Fatal(err)
		}
	}
	a := b.keys.peer("a@1")
	ping := func(source string, at netip.AddrPort) []byte {
		return written(typePing, "SeqNo", 1, "Node", "b@1", "SourceAddr", at, "SourcePort", int(at.Port()), "SourceNode", source)
	}
	indirect := func(node string, target netip.AddrPort) []byte {
		return written(typeIndirectPing, "SeqNo", 1, "Target", target, "Port", int(target.Port()), "Node", node, "Nack", 1,
			"SourceAddr", here, "SourcePort", int(here.Port()), "SourceNode", "a@1")
	}
	many := make([][]byte, maxParts+1)
	for i := range many {
		many[i] = written(typeNack, "SeqNo", i)
	}
	for what, c := range map[string]struct {
		b    []byte
		want string
	}{
		"an ack":                        {said("x"), ""},
		"a nack":                        {packet(written(typeNack, "SeqNo", 1)), ""},
		"a ping":                        {packet(ping("a@1", here)), ""},
		"a checksum":                    {append([]byte("\xf4\x08rpcnet/c\x0c1234"), ping("a@1", here)...), ""},
		"a ping for another":            {packet(indirect("c@1", there)), ""},
		"a compound":                    {packet(ping("a@1", here), gone(typeSuspect, "c@1", 1), alive("d@1", 1, here)), ""},
		"nothing":                       {nil, PacketMalformed},
		"a label alone":                 {packet([]byte{}), PacketMalformed},
		"no label":                      {said("x")[10:], PacketMalformed},
		"another label":                 {bytes.Replace(said("x"), []byte("/c"), []byte("/d"), 1), PacketMalformed},
		"too long":                      {append(said("x"), make([]byte, maxOpened)...), PacketMalformed},
		"compressed":                    {packet(written(9, "Algo", 0, "Buf", "x")), PacketMalformed},
		"encrypted":                     {packet(written(10, "x", 0)), PacketMalformed},
		"for users":                     {packet(append([]byte{8}, "hello"...)), PacketMalformed},
		"an exchange":                   {packet(written(typeExchange, "Nodes", 0)), PacketMalformed},
		"an unknown type":               {packet(written(99, "x", 0)), PacketMalformed},
		"a compound in a compound":      {packet(join("", [][]byte{said("x")[10:]})[0:], said("x")[10:]), PacketMalformed},
		"a compound of too many":        {packet(many...), PacketMalformed},
		"a compound that is cut":        {[]byte("\xf4\x08rpcnet/c\x07\x01\x00\x20\x02"), PacketMalformed},
		"an empty part":                 {[]byte("\xf4\x08rpcnet/c\x07\x01\x00\x00"), PacketMalformed},
		"a field twice":                 {packet(written(typeNack, "SeqNo", 1, "SeqNo", 2)), PacketMalformed},
		"a list":                        {packet([]byte{typeNack, 0x91, 1}), PacketMalformed},
		"an ack with a long payload":    {packet(written(typeAck, "SeqNo", 1, "Payload", strings.Repeat("x", 65))), PacketMalformed},
		"a ping in another's name":      {packet(ping("c@1", there)), PacketMalformed},
		"a ping to be answered there":   {packet(ping("a@1", there)), PacketElsewhere},
		"a ping to be answered nowhere": {packet(written(typePing, "SeqNo", 1, "Node", "b@1", "SourceNode", "a@1")), PacketElsewhere},
		"a ping to an address":          {packet(indirect("c@1", here)), PacketElsewhere},
		"a ping to a stranger":          {packet(indirect("z@1", there)), PacketElsewhere},
		"an alive without port":         {packet(alive("d@1", 1, netip.MustParseAddrPort("127.0.0.1:0"))), PacketMalformed},
		"an alive without versions":     {packet(written(typeAlive, "Incarnation", 1, "Node", "d@1", "Addr", here, "Port", 1)), PacketMalformed},
		"an alive of no id":             {packet(alive("d", 1, here)), PacketMalformed},
		"an alive far ahead":            {packet(alive("d@1", math.MaxUint32, here)), ""},
	} {
		got, refused := b.screener.screen(a, c.b, time.Now())
		if refused != c.want {
			t.Errorf("%s: %q, want %q", what, refused, c.want)
		}
		if what != "an alive far ahead" && refused == "" && !bytes.Equal(got, c.b) {
			t.Errorf("%s: came through as %q", what, got)
		}
	}
	if got := b.counts.get(GossipAhead); got != 1 {
		t.Errorf("%d counted as far ahead", got)
	}
}

func TestHearsayThatIsRefusedIsTakenOutOfItsPacket(t *testing.T) {
	t.Parallel()
	here := netip.MustParseAddrPort("127.0.0.1:1")
	b := newNode(t, "b@1", "c")
	if err := b.Learn("a@1", [KeySize]byte{9}, here); err != nil {
		t.Fatal(err)
	}
	first, last := alive("c@1", 1, here), gone(typeDead, "c@1", 1)
	got, refused := b.screener.screen(b.keys.peer("a@1"), packet(first, gone(typeSuspect, "c@1", math.MaxUint32), last), time.Now())
	if refused != "" || !bytes.Equal(got, packet(first, last)) {
		t.Errorf("%q, %q", got, refused)
	}
}

func TestTheIncarnationsOfABootGrowWithItsAge(t *testing.T) {
	t.Parallel()
	now := time.Now()
	started := map[string]time.Time{"new@1": now, "day@1": now.Add(-24 * time.Hour), "ahead@1": now.Add(time.Hour)}
	b := newNodeWith(t, "b@1", "c", func(c *Config) { c.Started = func(id string) time.Time { return started[id] } })
	for id, want := range map[string]uint64{"new@1": 1 << 20, "day@1": 1<<20 + 16*86400, "ahead@1": 1 << 20, "unknown@1": 1 << 20} {
		if got := b.screener.maxIncarnation(id, now); got != want {
			t.Errorf("%s: %d, want %d", id, got, want)
		}
	}
}

func TestOneNodesWordFillsAShareOfTheTable(t *testing.T) {
	t.Parallel()
	here := netip.MustParseAddrPort("127.0.0.1:1")
	b := newNode(t, "b@1", "c")
	for _, id := range []string{"a@1", "honest@1"} {
		if err := b.Learn(id, [KeySize]byte{9, id[0]}, here); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	learn := func(from string, i int) bool {
		id, key := invent(i)
		if got, _ := b.screener.screen(b.keys.peer(from), packet(alive(id, 1, here)), now); got == nil {
			return false
		}
		if err := b.Learn(id, key, here); err != nil {
			t.Fatal(err)
		}
		return true
	}
	taken := 0
	for i := range maxPeers {
		now = now.Add(100 * time.Millisecond) // within its rate
		if learn("a@1", i) {
			taken++
		}
	}
	if taken != maxInvented {
		t.Errorf("%d were taken by the word of one node, want %d", taken, maxInvented)
	}
	if !learn("honest@1", maxPeers) {
		t.Error("another node is not heard")
	}
	// Who proves itself, or is forgotten, counts no more.
	id, key := invent(0)
	b.keys.prove(hello{id: id, key: key})
	id, _ = invent(1)
	b.Forget(id)
	for i, want := range []bool{true, true, false} {
		if got := learn("a@1", 2*maxPeers+i); got != want {
			t.Errorf("the %d. after two have ceased to count: %v", i+1, got)
		}
	}
}

func TestABucketGivesWhatItsRateSays(t *testing.T) {
	t.Parallel()
	b := Bucket{Rate: Rate{PerSecond: 10, Burst: 5}}
	now := time.Now()
	for i, c := range []struct {
		after time.Duration
		n     int
		want  bool
	}{{0, 5, true}, {0, 1, false}, {99 * time.Millisecond, 1, false}, {time.Millisecond, 1, true}, {time.Hour, 6, false}, {0, 5, true}, {-time.Hour, 1, false}} {
		now = now.Add(c.after)
		if got := b.Take(c.n, now); got != c.want {
			t.Errorf("%d: %v", i, got)
		}
	}
	done := make(chan struct{})
	close(done)
	empty := Bucket{Rate: Rate{PerSecond: 1}}
	if empty.Wait(done) {
		t.Error("an empty bucket gave something")
	}
}

// FuzzScreen feeds what fuzzers make to a node as the content of packets. What
// comes through must be in the form that memberlist reads, and again come through.
func FuzzScreen(f *testing.F) {
	here := netip.MustParseAddrPort("127.0.0.1:1")
	b, err := New(Config{ID: "b@1", Cluster: "c", Observer: &counter{}})
	if err != nil {
		f.Fatal(err)
	}
	if err := b.Learn("a@1", [KeySize]byte{9}, here); err != nil {
		f.Fatal(err)
	}
	f.Add(said("x"))
	f.Add(packet(alive("d@1", 1, here)))
	f.Add(packet(gone(typeSuspect, "a@1", math.MaxUint32), gone(typeDead, "a@1", 1), alive("b@1", 1, here)))
	f.Add(append([]byte("\xf4\x08rpcnet/c\x0c1234"), said("x")[10:]...))
	now := time.Now()
	f.Fuzz(func(t *testing.T, content []byte) {
		now = now.Add(time.Hour) // nothing is too much
		got, refused := b.screener.screen(b.keys.peer("a@1"), content, now)
		if refused != "" && got != nil || len(got) > len(content) {
			t.Errorf("%q, %q of %q", got, refused, content)
		}
		if got == nil {
			return
		}
		if again, refused := b.screener.screen(b.keys.peer("a@1"), got, now.Add(time.Minute)); refused != "" || !bytes.Equal(again, got) {
			t.Errorf("%q came through as %q and that as %q, %s", content, got, again, refused)
		}
	})
}

// What memberlist itself writes must come through: pings, indirect ones, acks,
// gossip of all kinds and exchanges, of nodes with all that they may carry.
func TestWhatMemberlistWritesComesThrough(t *testing.T) {
	t.Parallel()
	var lists []*memberlist.Memberlist
	var nodes []*testNode
	for i := range 3 {
		n := newNode(t, fmt.Sprintf("n%d@1", i), "c")
		cfg := memberlist.DefaultLANConfig()
		cfg.Name, cfg.Transport, cfg.Label, cfg.UDPBufferSize, cfg.EnableCompression = n.me.id, n, Label("c"), MaxPacket, false
		cfg.LogOutput, cfg.BindPort = &bytes.Buffer{}, int(n.port.addr().Port())
		cfg.ProbeInterval, cfg.ProbeTimeout, cfg.GossipInterval = 50*time.Millisecond, 25*time.Millisecond, 20*time.Millisecond
		cfg.Delegate, cfg.Alive = describes{n}, describes{n}
		list, err := memberlist.Create(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { list.Shutdown() })
		lists, nodes = append(lists, list), append(nodes, n)
	}
	for _, l := range lists[1:] {
		if _, err := l.Join([]string{nodes[0].port.addr().String()}); err != nil {
			t.Fatal(err)
		}
	}
	// A member that is cut off is pinged through others, suspected and declared dead.
	nodes[2].port.mu.Lock()
	nodes[2].port.failing = true
	nodes[2].port.mu.Unlock()
	until(t, "packets of all kinds", func() bool { return nodes[0].counts.get("packet in gossip") > 100 })
	lists[2].Shutdown()
	until(t, "the death", func() bool { return lists[0].NumMembers() == 2 && lists[1].NumMembers() == 2 })
	for _, n := range nodes {
		for _, reason := range []string{PacketMalformed, PacketElsewhere, PacketLarge, PacketFlood, StreamMalformed, StreamOverrun, GossipAhead, GossipFlood} {
			if got := n.counts.get(reason); got != 0 {
				t.Errorf("%s has refused %d as %s", n.me.id, got, reason)
			}
		}
	}
}

// describes gives memberlist the meta of a node and its transport those of others.
type describes struct{ n *testNode }

func (d describes) NodeMeta(int) []byte {
	return (&Meta{Key: d.n.PublicKey(), Tags: map[string]string{"label": strings.Repeat("x", 400)}}).Append(nil)
}
func (describes) NotifyMsg([]byte)                {}
func (describes) GetBroadcasts(int, int) [][]byte { return nil }
func (describes) LocalState(bool) []byte          { return nil }
func (describes) MergeRemoteState([]byte, bool)   {}
func (d describes) NotifyAlive(n *memberlist.Node) error {
	m, err := ParseMeta(n.Meta)
	if err != nil || n.Name == d.n.me.id {
		return err
	}
	at, _ := netip.AddrFromSlice(n.Addr)
	return d.n.Learn(n.Name, m.Key, netip.AddrPortFrom(at.Unmap(), n.Port))
}

// FuzzExchange reads a stream as a node does: what memberlist gets has as many
// nodes as the header says, each in a form that it reads, and none far ahead.
func FuzzExchange(f *testing.F) {
	b, err := New(Config{ID: "b@1", Cluster: "c", Observer: &counter{}})
	if err != nil {
		f.Fatal(err)
	}
	if err := b.Learn("a@1", [KeySize]byte{9}, netip.MustParseAddrPort("127.0.0.1:1")); err != nil {
		f.Fatal(err)
	}
	state := string(written(0, "Name", "d@1", "Addr", netip.MustParseAddrPort("127.0.0.1:1"), "Port", 1, "Meta", "m",
		"Incarnation", uint32(math.MaxUint32), "State", 0, "Vsn", "\x01\x05\x02\x00\x00\x00")[1:])
	f.Add([]byte(exchange("\x02", "\x00") + node + state))
	f.Add([]byte(exchange("\x01", "\x00") + state))
	f.Add([]byte("\x00\x81\xa5SeqNo\x01"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		c := &conn{t: b, id: "a@1"}
		g := &guard{r: bytes.NewReader(stream), screen: c.screenState}
		got, err := io.ReadAll(g)
		if len(got) > 1 && got[0] == markLabel {
			got = got[min(2+int(got[1]), len(got)):]
		}
		if err != nil || len(got) == 0 || got[0] != typeExchange {
			return
		}
		r := &memory{got[1:]}
		header, err := readMessage(r)
		if err != nil {
			t.Fatalf("the header of %q: %v", got, err)
		}
		for range header["Nodes"].number {
			m, err := readMessage(r)
			if err != nil {
				t.Fatalf("a node of %q: %v", got, err)
			}
			if m["State"].number <= maxNodeState && m["Incarnation"].number > incarnationsAtOnce {
				t.Errorf("incarnation %d reaches memberlist", m["Incarnation"].number)
			}
		}
		if len(r.b) > 0 {
			t.Errorf("%q follows the last node", r.b)
		}
	})
}
