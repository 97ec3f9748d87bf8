package cluster_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/hook"
)

// A liar has a certificate of the authority and says what it likes: it speaks
// the gossip of the cluster without being a node of it.
type liar struct {
	*gossip.Transport
	ep  *rpcnet.Endpoint
	id  string
	key [gossip.KeySize]byte
}

func newLiar(t testing.TB) *liar {
	t.Helper()
	l := &liar{ep: listen(t, "127.0.0.1:0"), id: "liar@1"}
	var err error
	l.Transport, err = gossip.New(gossip.Config{
		ID: l.id, Cluster: "rpcnet", Endpoint: liarEndpoint{l.ep}, Observer: noObserver{},
		Advertise: netip.MustParseAddrPort(l.ep.Addr().String()),
	})
	if err != nil {
		t.Fatal(err)
	}
	l.key = l.PublicKey()
	remove, err := extend.Endpoint(l.ep, extend.Extension{
		Protocols: map[string]extend.Protocol{gossip.ALPN: {Run: func(c net.Conn, _ rpcnet.Peer) {
			l.HandleStream(c, "anyone", func(string) error { return nil })
		}}},
		Packet: l.HandlePacket,
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case c := <-l.StreamCh():
				c.Close()
			case <-l.PacketCh():
			case <-stop:
				return
			}
		}
	})
	t.Cleanup(func() { remove(); l.Shutdown(); close(stop); wg.Wait() })
	return l
}

type noObserver struct{}

func (noObserver) Packet(string, string, int) {}
func (noObserver) Stream(string, string)      {}
func (noObserver) Refused(string)             {}

type liarEndpoint struct{ ep *rpcnet.Endpoint }

func (e liarEndpoint) Dial(ctx context.Context, addr string) (net.Conn, func(string) error, error) {
	c, _, err := extend.Dial(ctx, e.ep, addr, gossip.ALPN, nil)
	return c, func(string) error { return nil }, err
}

func (e liarEndpoint) WritePacket(b []byte, to netip.AddrPort) (int, error) {
	return extend.WritePacket(e.ep, b, to)
}

// meets makes the liar and the nodes know each other's keys.
func (l *liar) meets(t testing.TB, hs ...*history) {
	t.Helper()
	for _, h := range hs {
		if _, err := l.Identify(h.Node.Self().Addr, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
}

// tell sends a message of memberlist's to a node.
func (l *liar) tell(h *history, msg []byte) {
	m := h.Node.Self()
	packet := append([]byte("\xf4\x0drpcnet/rpcnet"), msg...)
	for range 3 { // packets get lost
		l.WriteToAddress(packet, memberlist.Address{Addr: m.Addr, Name: m.ID()})
	}
}

// What memberlist sends, as MessagePack.
func pack(kind byte, fields ...any) []byte {
	b := []byte{kind, 0x80 | byte(len(fields)/2)}
	text := func(s string) {
		b = append(binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(s))), s...)
	}
	for _, f := range fields {
		switch f := f.(type) {
		case string:
			text(f)
		case []byte:
			text(string(f))
		case int:
			b = binary.BigEndian.AppendUint32(append(b, 0xce), uint32(f))
		case uint32:
			b = binary.BigEndian.AppendUint32(append(b, 0xce), f)
		}
	}
	return b
}

func (l *liar) alive(id, addr string, incarnation int, meta gossip.Meta) []byte {
	a := netip.MustParseAddrPort(addr)
	if meta.Key == [gossip.KeySize]byte{} {
		meta.Key = l.key
	}
	return pack(4, "Incarnation", incarnation, "Node", id, "Addr", a.Addr().AsSlice(), "Port", int(a.Port()),
		"Meta", meta.Append(nil), "Vsn", []byte{1, 5, 2, 0, 0, 0})
}

func dead(id, from string, incarnation uint32) []byte {
	return pack(5, "Incarnation", incarnation, "Node", id, "From", from)
}

// never fails if a condition comes to hold within a second.
func never(t testing.TB, what func() string) {
	t.Helper()
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if s := what(); s != "" {
			t.Fatal(s)
		}
	}
}

func TestGossipOfAnotherBootAtAnAddressReplacesNobody(t *testing.T) {
	t.Parallel()
	counts := &tally{}
	a := start(t, "a")
	b := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "b", Seeds: addrs(a), Metrics: counts.metrics()})
	a.Sees(t, 2)
	b.Sees(t, 2)
	l := newLiar(t)
	l.meets(t, a, b)
	before := counts.get("stream in key")
	for _, name := range []string{"b@0000000000000000", "b@zzzzzzzzzzzzzzzz", "x@zzzzzzzzzzzzzzzz"} {
		for _, h := range []*history{a, b} {
			l.tell(h, l.alive(name, b.Node.Self().Addr, 1, gossip.Meta{}))
		}
	}
	eventually(t, func() error { // a has asked who is at b's address
		if counts.get("stream in key") == before {
			return errors.New("b was not asked")
		}
		return nil
	})
	never(t, func() string {
		for _, h := range []*history{a, b} {
			if es := append(h.Events(cluster.KindNodeFailed, ""), h.Events(cluster.KindNodeJoined, "x")...); len(es) > 0 {
				return h.Node.Self().Name + " has " + lines(es)
			}
		}
		return ""
	})
	a.Sees(t, 2)
	b.Sees(t, 2)
}

// A new boot at an address that another holds is not shown before it has
// answered there. Dials that get lost must not hide it for ever: when the other
// is gone and it answers a probe, it is shown.
func TestARestartThatCannotBeDialledIsShownLater(t *testing.T) {
	t.Parallel()
	var lost atomic.Bool
	var refused atomic.Int32
	ctx := hook.WithSockets(t.Context(), func(_ string, ep hook.Sockets) hook.Sockets {
		return lossyDials{ep, &lost, &refused}
	})
	a := joinContext(t, ctx, listen(t, "127.0.0.1:0"), cluster.Config{Name: "a"})
	b := start(t, "b", a)
	c := start(t, "c", a)
	for _, h := range []*history{a, b, c} {
		h.Sees(t, 3)
	}
	lost.Store(true)
	c.Node.Close()
	c2 := join(t, c.Node.Endpoint(), cluster.Config{Name: "c", Seeds: addrs(b)})
	b.Sees(t, 3)
	eventually(t, func() error {
		if refused.Load() == 0 {
			return errors.New("a has not asked yet")
		}
		return nil
	})
	eventually(t, func() error {
		if m, _ := a.Node.Lookup("c"); m.Boot != c2.Node.Self().Boot || m.State != cluster.StateAlive {
			return fmt.Errorf("a sees %+v", m)
		}
		return nil
	})
	a.Sees(t, 3)
}

// lossyDials fails dials while lost.
type lossyDials struct {
	hook.Sockets
	lost    *atomic.Bool
	refused *atomic.Int32
}

func (e lossyDials) Dial(ctx context.Context, addr string) (net.Conn, func(string) error, error) {
	if e.lost.Load() {
		e.refused.Add(1)
		return nil, nil, errors.New("lost")
	}
	return e.Sockets.Dial(ctx, addr)
}

func TestALeaveThatIsRefutedIsTakenBack(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", a)
	a.Sees(t, 2)
	b.Sees(t, 2)
	l := newLiar(t)
	l.meets(t, a, b)
	m := b.Node.Self()
	// That it will leave, alone.
	l.tell(a, l.alive(m.ID(), m.Addr, 1000, gossip.Meta{Leaving: true}))
	eventually(t, func() error {
		es := a.Events(cluster.KindNodeUpdated, "b")
		if len(es) < 2 || es[0].Member.State != cluster.StateLeaving || es[len(es)-1].Member.State == cluster.StateLeaving {
			return fmt.Errorf("a has had %v", es)
		}
		return nil
	})
	// That it has left.
	l.tell(a, l.alive(m.ID(), m.Addr, 2000, gossip.Meta{Leaving: true}))
	l.tell(a, dead(m.ID(), m.ID(), 2000))
	a.Wait(t, cluster.KindNodeLeft, "b")
	if e := a.Wait(t, cluster.KindNodeRecovered, "b"); e.Was.State != cluster.StateLeft {
		t.Errorf("%v", e)
	}
	a.Sees(t, 2)
	// What it says itself is final, and told once.
	updated := len(a.Events(cluster.KindNodeUpdated, "b"))
	cluster.OnLeave(b.Node, func(context.Context) { time.Sleep(time.Second) }) // until gossip has it too
	if err := b.Node.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	eventually(t, func() error {
		if got, _ := a.Node.Lookup("b"); got.State != cluster.StateLeft {
			return fmt.Errorf("a sees %+v", got)
		}
		return nil
	})
	if es := a.Events(cluster.KindNodeUpdated, "b")[updated:]; len(es) != 1 {
		t.Errorf("told not once:\n%s", lines(es))
	}
	recovered := len(a.Events(cluster.KindNodeRecovered, "b"))
	l.tell(a, l.alive(m.ID(), m.Addr, 3000, gossip.Meta{}))
	never(t, func() string { return lines(a.Events(cluster.KindNodeRecovered, "b")[recovered:]) })
}

// What brings a dead member back is its own answer, not what gossip says of it:
// that may be old, or made up, or held back and sent later.
func TestADeadMemberIsNotBroughtBackByGossip(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", a)
	a.Sees(t, 2)
	m := b.Node.Self()
	b.Node.Close()
	a.Wait(t, cluster.KindNodeFailed, "b")
	eventually(t, func() error {
		if cluster.Listed(a.Node, m.ID()) {
			return errors.New("memberlist still holds it alive")
		}
		return nil
	})
	l := newLiar(t)
	l.meets(t, a)
	l.tell(a, l.alive(m.ID(), m.Addr, 1000, gossip.Meta{}))
	eventually(t, func() error {
		if !cluster.Listed(a.Node, m.ID()) {
			return errors.New("memberlist has not taken it")
		}
		return nil
	})
	never(t, func() string { return lines(a.Events(cluster.KindNodeRecovered, "b")) })
}

func TestWithVerifyNodeNobodyIsShownByHearsayAlone(t *testing.T) {
	t.Parallel()
	cfg := cluster.Config{VerifyNode: func(_ rpcnet.Peer, name string) error {
		if strings.HasPrefix(name, "director") {
			return errors.New("this certificate is no director's")
		}
		return nil
	}}
	node := func(name string, seeds ...*history) *history {
		c := cfg
		c.Name, c.Seeds = name, addrs(seeds...)
		return join(t, listen(t, "127.0.0.1:0"), c)
	}
	a := node("a")
	b := node("b", a)
	c := node("c", b) // a hears of it by gossip
	for _, h := range []*history{a, b, c} {
		h.Sees(t, 3)
	}
	l := newLiar(t)
	l.meets(t, a)
	l.tell(a, l.alive("director-7@zzzzzzzzzzzzzzzz", l.ep.Addr().String(), 1, gossip.Meta{}))
	l.tell(a, l.alive("worker-7@zzzzzzzzzzzzzzzz", l.ep.Addr().String(), 1, gossip.Meta{}))
	never(t, func() string {
		return lines(slices.Concat(a.Events(cluster.KindNodeJoined, "director-7"), a.Events(cluster.KindNodeJoined, "worker-7")))
	})
	a.Sees(t, 3)
}

func TestAMemberThatInventsOthersMakesFewGoroutines(t *testing.T) {
	// Not parallel: it counts the goroutines of the process.
	a := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "a"})
	b := start(t, "b", a)
	twin := start(t, "twin", a)
	for _, h := range []*history{a, b, twin} {
		h.Sees(t, 3)
	}
	l := newLiar(t)
	l.meets(t, a)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // connects and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	before, most := working(), 0
	for i := range 700 {
		at := silent.Addr().String()
		if i >= 100 { // an address for each, where nobody is
			at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), 9).String()
		}
		for _, msg := range [][]byte{
			l.alive(fmt.Sprintf("x%d@1", i), b.Node.Self().Addr, 1, gossip.Meta{}),
			l.alive(fmt.Sprintf("twin@%d", i), at, 1, gossip.Meta{}),
			l.alive(fmt.Sprintf("dead%d@1", i), at, 1, gossip.Meta{}),
			dead(fmt.Sprintf("dead%d@1", i), l.id, 1),
		} {
			l.tell(a, msg)
		}
		if i%50 == 0 {
			most = max(most, working())
		}
		if i%10 == 0 {
			time.Sleep(2 * time.Millisecond)
		}
	}
	for range 20 {
		time.Sleep(50 * time.Millisecond)
		most = max(most, working())
	}
	known := cluster.Known(a.Node)
	t.Logf("%d goroutines before, %d at most; %d members known", before, most, known)
	if limit := before + 8 + 4 + 64*5 + 50; most > limit { // identify, compare, verify in two ways that dial
		t.Errorf("%d goroutines, want %d at most", most, limit)
	}
	if known < 1000 {
		t.Errorf("only %d were known, which proves nothing", known)
	}
	if m, _ := a.Node.Lookup("b"); !m.State.Present() {
		t.Errorf("%v is %v", m, m.State)
	}
}

// working counts the goroutines of nodes and transports, but for those that probe
// everybody: on a slow machine the detector of partitions asks for that.
func working() (n int) {
	b := make([]byte, 1<<22)
	for _, g := range strings.Split(string(b[:runtime.Stack(b, true)]), "\n\n") {
		if (strings.Contains(g, "rpcnet/cluster.(*") || strings.Contains(g, "gossip.(*Transport)")) &&
			!strings.Contains(g, "(*prober).answerProbeAll") && !strings.Contains(g, "(*prober).probe.") {
			n++
		}
	}
	return n
}

func TestABootCanBeEvictedBeforeItIsHeardOf(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	c := start(t, "c")
	b := start(t, "b", c)
	c.Sees(t, 2)
	bad := b.Node.Self()
	if !a.Node.Evict(bad.Name, bad.Boot) {
		t.Error("not evicted")
	}
	if a.Node.Evict("a", a.Node.Self().Boot) || a.Node.Evict("", "") {
		t.Error("evicted itself, or nobody")
	}
	d := start(t, "d", a, c)
	d.Sees(t, 4)
	eventually(t, func() error {
		if n := len(a.Node.Members()); n != 3 {
			return fmt.Errorf("a sees %v", a.Node.Members())
		}
		return nil
	})
	never(t, func() string { return lines(a.Events(cluster.KindNodeJoined, "b")) })
}

func TestAnEndpointInUseWhileANodeJoinsIsAnswered(t *testing.T) {
	t.Parallel()
	ep := listen(t, "127.0.0.1:0")
	caller := listen(t, "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel()
	serving.Go(func() { ep.Serve(ctx, rpcnet.NewServer(nil)) })
	conn, err := caller.Dial(t.Context(), ep.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_, err := cluster.Admin{Transport: conn}.Snapshot(t.Context())
				if code := rpcnet.CodeOf(err); err != nil && code != rpcnet.CodeUnimplemented && code != rpcnet.CodeUnavailable {
					t.Errorf("%v", err)
					return
				}
			}
		})
	}
	for range 50 {
		n, err := cluster.Join(t.Context(), ep, &cluster.Config{Name: "n", Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		n.Close()
	}
}

func TestAnEndpointThatShutsDownWhileANodeJoinsTakesItAlong(t *testing.T) {
	t.Parallel()
	for range 200 {
		ep := listen(t, "127.0.0.1:0")
		var joined atomic.Bool
		done := make(chan struct{})
		go func() {
			defer close(done)
			for !joined.Load() { // until the endpoint carries the node
				remove, err := extend.Endpoint(ep, extend.Extension{Packet: func([]byte, netip.AddrPort) {}})
				if err != nil {
					break
				}
				remove()
				time.Sleep(10 * time.Microsecond)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			ep.Shutdown(ctx)
		}()
		n, err := cluster.Join(t.Context(), ep, &cluster.Config{Name: "n", Logger: quiet(), LeaveDelay: time.Millisecond})
		joined.Store(true)
		<-done
		if err == nil {
			n.Close()
		}
	}
}
