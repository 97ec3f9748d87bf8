package cluster_test

import (
	"net"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/udpecho"
)

// asAdministrator connects to a node.
func asAdministrator(t *testing.T, n *cluster.Node) *rpcnet.Conn {
	t.Helper()
	conn, err := listen(t, "127.0.0.1:0").Dial(t.Context(), n.Self().Addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestAnAdministratorDrainsANode(t *testing.T) {
	t.Parallel()
	a := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "a"})
	b := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "b", Seeds: []string{a.Node.Self().Addr}})
	a.Wait(t, cluster.KindNodeJoined, "b")
	admin := cluster.Admin{Transport: asAdministrator(t, b.Node)}
	for range 2 { // the second is no error
		if err := admin.Drain(t.Context(), time.Second); err != nil && rpcnet.CodeOf(err) != rpcnet.CodeUnavailable && rpcnet.CodeOf(err) != rpcnet.CodeUnimplemented {
			t.Fatal(err)
		}
	}
	a.Wait(t, cluster.KindNodeLeft, "b")
	<-b.Node.Done()
	if err := (cluster.Admin{Transport: asAdministrator(t, a.Node)}).Drain(t.Context(), -1); rpcnet.CodeOf(err) != rpcnet.CodeInvalidArgument {
		t.Errorf("a negative time-out: %v", err)
	}
}

func TestTheUDPPortAnswersAnAdministratorsQuestions(t *testing.T) {
	t.Parallel()
	n := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "a"}).Node
	offer, err := rpcnet.CallRaw(t.Context(), asAdministrator(t, n), "/cluster.v1.Admin/Probe", nil)
	if err != nil {
		t.Fatal(err)
	}
	token, _, ok := udpecho.ParseOffer(offer)
	if !ok {
		t.Fatalf("%x is no offer", offer)
	}
	conn, err := net.Dial("udp", n.Self().Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	// The first has no good token. On one machine datagrams keep their order: the first answer
	// is that to the second.
	for nonce, token := range [][]byte{make([]byte, udpecho.TokenSize), token} {
		if _, err := conn.Write(udpecho.Question(token, uint64(nonce), 1300)); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, 2000)
	size, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	nonce, from, ok := udpecho.ParseAnswer(b[:size])
	if !ok || nonce != 1 || size != 1300 || from.String() != conn.LocalAddr().String() {
		t.Errorf("%d bytes: %d, %v, %v, want 1300, 1, %v", size, nonce, from, ok, conn.LocalAddr())
	}
}
