package rpcnet_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/internal/wire"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// besieged returns an endpoint, the certificate of an attacker, and a caller of
// another identity who must be served all the while.
func besieged(t *testing.T, cfg *rpcnet.EndpointConfig) (ep *rpcnet.Endpoint, attacker party, honest *rpcnet.Conn) {
	t.Helper()
	ca := testkit.NewCA(t)
	node := newParty(t, ca, credentials.Leaf{})
	if cfg == nil {
		cfg = &rpcnet.EndpointConfig{}
	}
	cfg.Logger = (&testkit.Log{}).Logger()
	ep, err := rpcnet.Listen("127.0.0.1:0", node.creds, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ep.Close() })
	serving(ep, echoServer(nil))
	honest, err = rpcnet.Dial(within(t), ep.Addr().String(), newParty(t, ca, credentials.Leaf{Hosts: []string{"honest"}}).creds, &rpcnet.DialConfig{Logger: rpctest.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { honest.Close() })
	mustEcho(t, honest, nil)
	return ep, newParty(t, ca, credentials.Leaf{Hosts: []string{"attacker"}}), honest
}

// A caller invents procedures, so that the server keeps their names.
func TestAttack12ProcedureNames(t *testing.T) {
	ep, attacker, honest := besieged(t, nil)
	before := resident()
	const sessions, names = 8, 16_384
	var held []*handmade
	refused := 0
	for range sessions {
		h := newHandmade(t, ep, attacker)
		held = append(held, h)
		go func() { // in the order of numbers, and the answers stay unread
			var b []byte
			for i := range names {
				o := wire.Open{Number: uint32(i + 1), Name: fmt.Appendf(nil, "%s%d", strings.Repeat("n", 240), i)}
				b = append(b, frame(wire.TypeOpen, wire.FlagEnd, uint32(i+1), o.Append(nil))...)
			}
			h.send(b)
		}()
		// The reason can be lost when the connection is closed under what was sent.
		if why := h.farewell(); why == "" || strings.Contains(why, "procedure number 257") {
			refused++
		}
	}
	kept := resident() - before
	const bound = 4 << 20
	redteam(t, fmt.Sprintf("%d procedure names on each of %d sessions", names, sessions), fmt.Sprintf("%d MiB", bound>>20), fmt.Sprintf("%d KiB, %d refused", kept>>10, refused))
	if kept > bound || refused != sessions {
		t.Errorf("%d KiB are kept, %d of %d sessions were refused", kept>>10, refused, sessions)
	}
	mustEcho(t, honest, nil)
	if len(held) > 0 {
		stopsInTime(t, ep)
	}
}

// More procedures than have numbers are called by name.
func TestProceduresBeyondThoseWithNumbers(t *testing.T) {
	t.Parallel()
	srv := echoServer(nil)
	for i := range 2 * wire.MaxProcedures {
		srv.Handle(fmt.Sprint("p", i), func(_ context.Context, in []byte) ([]byte, error) { return fmt.Append(in, " ", i), nil })
	}
	conn := rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil)
	for range 2 {
		for i := range 2 * wire.MaxProcedures {
			out, err := rpcnet.CallRaw(within(t), conn, fmt.Sprint("p", i), []byte("x"))
			if err != nil || !bytes.HasSuffix(out, fmt.Append(nil, " ", i)) {
				t.Fatalf("procedure %d: %q, %v", i, out, err)
			}
		}
	}
}

// A caller opens streams and says nothing on them.
func TestAttack12IdleStreams(t *testing.T) {
	const share, want = 16 << 20, 10_000
	ep, attacker, honest := besieged(t, &rpcnet.EndpointConfig{PeerMemory: share})
	before := resident()
	const sessions = 3
	refused := 0
	for range sessions {
		c, err := dialTLS(t, ep.Addr().String(), attacker.source.ClientConfig("127.0.0.1", []string{"rpcnet/1"}))
		if err != nil {
			t.Fatal(err)
		}
		h := &handmade{t, c}
		if f, p := h.greet(); f.Type() != wire.TypeSettings { // the session itself has no room any more
			if refused += want; !bytes.Contains(p, []byte("rpcnet.EndpointConfig.PeerMemory")) {
				t.Errorf("the reason: %q", p)
			}
			continue
		}
		for id := uint32(1); id <= want; {
			var b []byte
			for range 500 {
				o := wire.Open{Number: 1}
				if id == 1 {
					o.Name = []byte("talk")
				}
				b = append(b, frame(wire.TypeOpen, 0, id, o.Append(nil))...)
				id++
			}
			h.send(append(b, frame(wire.TypePing, 0, 0, make([]byte, 8))...))
			for { // a peer that reads what it asks for
				f, p := h.next()
				if f.Type() == wire.TypePong {
					break
				}
				if f.Type() != wire.TypeStatus {
					t.Fatalf("%v %q", f.Type(), p)
				}
				if refused++; !bytes.Contains(p, []byte("rpcnet.EndpointConfig.PeerMemory")) {
					t.Fatalf("the reason: %q", p)
				}
			}
		}
	}
	kept := resident() - before
	redteam(t, fmt.Sprintf("%d idle streams", sessions*want), fmt.Sprintf("a share of %d MiB", share>>20),
		fmt.Sprintf("%d MiB, %d streams refused", kept>>20, refused))
	if kept > 2*share || refused < sessions*want-share/4096 {
		t.Errorf("%d MiB are kept, %d streams were refused", kept>>20, refused)
	}
	if s := ep.Stats().Memory; s.Largest != "attacker" || s.LargestUsed > share || s.ByKind["streams"] == 0 {
		t.Errorf("the numbers: %+v", s)
	}
	for range 100 {
		mustEcho(t, honest, []byte("still served"))
	}
	stopsInTime(t, ep)
}

// A caller connects again and again.
func TestAttack12Sessions(t *testing.T) {
	const limit, tried = 20, 60
	ep, attacker, honest := besieged(t, &rpcnet.EndpointConfig{PeerSessions: limit})
	got := 0
	for range tried {
		c, err := dialTLS(t, ep.Addr().String(), attacker.source.ClientConfig("127.0.0.1", []string{"rpcnet/1"}))
		if err != nil {
			t.Fatal(err)
		}
		h := &handmade{t, c}
		switch f, p := h.greet(); {
		case f.Type() == wire.TypeSettings:
			got++
		case !bytes.Contains(p, []byte("rpcnet.EndpointConfig.PeerSessions")):
			t.Errorf("the reason: %q", p)
		}
	}
	redteam(t, fmt.Sprintf("%d sessions of one identity", tried), limit, got)
	if got != limit {
		t.Errorf("%d sessions, want %d", got, limit)
	}
	if n := ep.Stats().Refused["limit"]; n != tried-limit {
		t.Errorf("%d count as refused", n)
	}
	mustEcho(t, honest, nil)
	stopsInTime(t, ep)
}
