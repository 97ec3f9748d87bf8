package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/hook"
)

// Each of these is a trap of memberlist that a node must be coded around, with
// no other test that would find it missing.

// Trap: without a label a stream that passes the hello merges two clusters.
func TestAStreamWithoutTheLabelOfTheClusterIsNotHeard(t *testing.T) {
	t.Parallel()
	ctx := hook.WithSockets(t.Context(), func(_ string, ep hook.Sockets) hook.Sockets { return unlabelled{ep} })
	a := joinContext(t, ctx, listen(t, "127.0.0.1:0"), cluster.Config{Name: "a"}) // which dials b when b has said hello
	_, err := cluster.Join(ctx, listen(t, "127.0.0.1:0"), &cluster.Config{
		Name: "b", Seeds: addrs(a), Discovery: cluster.DiscoveryConfig{WaitForSeed: true, JoinTimeout: time.Second}, Logger: quiet(),
	})
	if err == nil {
		t.Error("it joined")
	}
	if es := a.Events(cluster.KindNodeJoined, ""); len(es) > 0 || len(a.Node.Members()) != 1 {
		t.Errorf("%v", es)
	}
}

// An unlabelled endpoint takes the label off all that memberlist sends on
// streams. What it takes off begins with a byte that no other message begins
// with.
type unlabelled struct{ hook.Sockets }

func (u unlabelled) Dial(ctx context.Context, addr string) (net.Conn, func(string) error, error) {
	conn, verify, err := u.Sockets.Dial(ctx, addr)
	return unlabelledConn{conn}, verify, err
}

type unlabelledConn struct{ net.Conn }

func (c unlabelledConn) Write(b []byte) (int, error) {
	const mark = 244
	if len(b) > 2 && b[0] == mark && bytes.Equal(b[2:], []byte("rpcnet/rpcnet")) {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// Trap: callbacks run under memberlist's lock. While the view cannot be changed
// memberlist's own list goes on.
func TestCallbacksDoNotWaitForTheView(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	eventually(t, func() error { // so that no event is missed
		if len(a.All()) == 0 {
			return errors.New("nobody watches yet")
		}
		return nil
	})
	release := sync.OnceFunc(cluster.HoldView(a.Node))
	defer release()
	await := func(what string, ok func() bool) {
		t.Helper()
		eventually(t, func() error {
			got := make(chan bool, 1)
			go func() { got <- ok() }()
			select {
			case yes := <-got:
				if !yes {
					return fmt.Errorf("not yet: %s", what)
				}
				return nil
			case <-time.After(15 * time.Second):
				t.Fatalf("%s: memberlist waits for the view", what)
				return nil
			}
		})
	}
	addr := a.Node.Endpoint().Addr().String()
	b := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "b", Seeds: []string{addr}})
	await("b has joined", func() bool { return cluster.ListSize(a.Node) == 2 })
	if err := b.Node.SetTags(cluster.Tags{"news": "1"}); err != nil {
		t.Fatal(err)
	}
	await("b has news", func() bool { return cluster.ToldUpdate(a.Node, b.Node.Self().ID()) })
	b.Node.Close()
	await("b is gone", func() bool { return cluster.ListSize(a.Node) == 1 })
	release()
	for _, k := range []cluster.Kind{cluster.KindNodeJoined, cluster.KindNodeUpdated, cluster.KindNodeFailed} {
		a.Wait(t, k, "b")
	}
}

// Trap: views stay partial after quick joins, until the next exchange with a
// random member, which may be 15 s away.
func TestANodeThatHasJoinedExchangesItsStateAgain(t *testing.T) {
	t.Parallel()
	f := newField(t, 4, cluster.Config{Detection: cluster.DetectionConfig{PushPullInterval: time.Hour}})
	f.add()
	m := f.tally[4]
	first := m.get("stream out state")
	eventuallyWithin(t, 10*time.Second, func() error { // two members after 0.3 s, two after 1 s
		if n := m.get("stream out state") - first; n < 4 {
			return fmt.Errorf("%d exchanges since it joined", n)
		}
		return nil
	})
	f.whole()
}
