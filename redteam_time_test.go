package rpcnet_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// A certificate that has expired is of no use for new calls on a session that
// it has opened. What runs may finish.
func TestAttack13SessionsPastExpiry(t *testing.T) {
	t.Parallel()
	sessionsEndWithTheirCertificates(t)
}

func sessionsEndWithTheirCertificates(t *testing.T) {
	ca := testkit.NewCA(t)
	var out testkit.Log
	end := time.Now().Add(3 * time.Second).Truncate(time.Second)
	node := newParty(t, ca, credentials.Leaf{NotAfter: end})
	listen := func(pastExpiry bool) *rpcnet.Endpoint {
		ep, err := rpcnet.Listen("127.0.0.1:0", newParty(t, ca, credentials.Leaf{}).creds, &rpcnet.EndpointConfig{Logger: out.Logger(), SessionsPastExpiry: pastExpiry})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ep.Close() })
		serving(ep, echoServer(nil))
		return ep
	}
	ep, lenient := listen(false), listen(true)
	dial := func(ep *rpcnet.Endpoint) *rpcnet.Conn {
		c, err := rpcnet.Dial(within(t), ep.Addr().String(), node.creds, &rpcnet.DialConfig{Logger: rpctest.Logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		mustEcho(t, c, nil)
		return c
	}
	c, kept := dial(ep), dial(lenient)
	st := open(t, within(t), c, "talk")
	talk := func() {
		t.Helper()
		var m []byte
		if err := st.Send([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := st.Recv(&m); err != nil {
			t.Fatal(err)
		}
	}
	talk()
	time.Sleep(time.Until(end)) // certificates have no other clock
	eventually(t, "new calls are refused", func() bool {
		_, err := rpcnet.CallRaw(within(t), c, "echo", nil)
		return err != nil
	})
	late := time.Since(end)
	talk() // what runs goes on
	mustEcho(t, kept, nil)
	if err := st.CloseSend(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the session has ended", func() bool { return ep.Stats().Sessions == 0 })
	redteam(t, "calls on a session after the expiry of its certificate", "none after 1s", "none after "+late.Round(time.Millisecond).String())
	if !strings.Contains(out.String(), "a caller's certificate has expired") {
		t.Error("nobody is told")
	}
	stopsInTime(t, ep)
}

// The expiry of one's own certificate is told at the moment.
func TestAttack13ExpiryIsTold(t *testing.T) {
	t.Parallel()
	var out testkit.Log
	end := time.Now().Add(2 * time.Second).Truncate(time.Second)
	ep, err := rpcnet.Listen("127.0.0.1:0", newParty(t, testkit.NewCA(t), credentials.Leaf{NotAfter: end}).creds, &rpcnet.EndpointConfig{Logger: out.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	if got := ep.Stats().CertificateNotAfter; !got.Equal(end) {
		t.Errorf("the certificate expires at %v, want %v", got, end)
	}
	eventually(t, "expiry is in the log", func() bool { return strings.Contains(out.String(), "the TLS certificate has expired") })
	late := time.Since(end)
	redteam(t, "the own certificate expires", "told within 1s, before within 24h", late.Round(time.Millisecond))
	if late < 0 || late > 10*time.Second {
		t.Errorf("told %v after the moment", late)
	}
	if n := strings.Count(out.String(), "has expired"); n != 1 {
		t.Errorf("told %d times", n)
	}
	stopsInTime(t, ep)
}

// Functions of extensions and of the program that hang, for what a peer has
// sent, do not keep an endpoint from closing.
func TestAttack01HangingFunctionsDoNotHoldClose(t *testing.T) {
	t.Parallel()
	node := newParty(t, testkit.NewCA(t), credentials.Leaf{})
	hang := make(chan struct{})
	defer close(hang)
	var out testkit.Log
	in := make(chan string, 3)
	ep, err := rpcnet.Listen("127.0.0.1:0", node.creds, &rpcnet.EndpointConfig{Logger: out.Logger(), Authorize: func(rpcnet.Peer) error {
		in <- "authorize"
		<-hang
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	remove, err := extend.Endpoint(ep, extend.Extension{Packet: func([]byte, netip.AddrPort) {
		in <- "packet"
		<-hang
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	u, err := net.Dial("udp", ep.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	u.Write([]byte{1})
	<-in
	if _, err = dialTLS(t, ep.Addr().String(), node.source.ClientConfig("127.0.0.1", []string{"rpcnet/1"})); err != nil {
		t.Fatal(err)
	}
	<-in
	begin := time.Now()
	closed := make(chan struct{})
	go func() { ep.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("Close does not return")
	}
	took := time.Since(begin)
	redteam(t, "a packet and a certificate that hang their functions", "Close within 6s", took.Round(time.Millisecond))
	if !strings.Contains(out.String(), "Packet function has not returned") || !strings.Contains(out.String(), "check of callers") {
		t.Errorf("Close took %v and says %s", took, out.String())
	}
}
