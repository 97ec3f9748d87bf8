package rpcnet_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// An endpointLimit is set by a config, and a peer comes to it by exceed.
type endpointLimit struct {
	config rpcnet.EndpointConfig
	exceed func(t *testing.T, ep *rpcnet.Endpoint) error
	want   []string // in the error
}

// endpointLimits is every limit of an endpoint, how a peer comes to it, and what the
// peer is told.
func endpointLimits() map[string]endpointLimit {
	const handshake = 28 << 10 // room for a handshake, 24 KiB, and for no session, 32 KiB
	const budget, share = "rpcnet.EndpointConfig.MemoryBudget", "rpcnet.EndpointConfig.PeerMemory"
	memory := func(bytes int64) rpcnet.EndpointConfig { return rpcnet.EndpointConfig{PeerMemory: bytes} }
	return map[string]endpointLimit{
		"calls of a session":       {rpcnet.EndpointConfig{MaxConcurrentStreams: 2}, waitInVain, []string{"deadline exceeded", "waiting to begin", "rpcnet.EndpointConfig.MaxConcurrentStreams"}},
		"memory of all, call":      {rpcnet.EndpointConfig{MemoryBudget: 2 << 20}, sendMuch, []string{"ResourceExhausted", budget}},
		"memory of all, session":   {rpcnet.EndpointConfig{MemoryBudget: handshake}, dialOnce, []string{budget}},
		"memory of all, extension": {rpcnet.EndpointConfig{MemoryBudget: 2 << 20}, reserveMuch, []string{"ResourceExhausted", budget}},
		"memory of one, call":      {memory(2 << 20), sendMuch, []string{"ResourceExhausted", share}},
		"memory of one, session":   {memory(handshake), dialOnce, []string{share}},
		"memory of one, extension": {memory(2 << 20), reserveMuch, []string{"ResourceExhausted", share}},
		"sessions of one": {rpcnet.EndpointConfig{PeerSessions: 1}, func(t *testing.T, ep *rpcnet.Endpoint) error {
			mustEcho(t, rpctest.Dial(t, ep.Addr().String(), nil), nil)
			return dialOnce(t, ep)
		}, []string{"1 sessions already", "rpcnet.EndpointConfig.PeerSessions"}},
	}
}

func sendMuch(t *testing.T, ep *rpcnet.Endpoint) error {
	conn := rpctest.Dial(t, ep.Addr().String(), nil)
	ctx, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{MaxMessageSize: 16 << 20})
	_, err := rpcnet.CallRaw(ctx, conn, "echo", make([]byte, 8<<20))
	mustEcho(t, conn, nil) // only that call fails
	return err
}

func dialOnce(t *testing.T, ep *rpcnet.Endpoint) error {
	conn, err := rpcnet.Dial(within(t), ep.Addr().String(), rpctest.Credentials(t), nil)
	if err == nil {
		conn.Close()
	}
	return err
}

func reserveMuch(t *testing.T, ep *rpcnet.Endpoint) error {
	release, err := extend.Reserve(ep, rpcnet.Peer{ID: "a"}, "cache", 8<<20)
	if err == nil {
		release()
	}
	return err
}

// waitInVain makes a call when two run, which is as many as may, until its
// deadline.
func waitInVain(t *testing.T, ep *rpcnet.Endpoint) error {
	conn := rpctest.Dial(t, ep.Addr().String(), nil)
	for range 2 {
		if err := open(t, within(t), conn, "talk").Send([]byte{}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(within(t), 200*time.Millisecond)
	defer cancel()
	_, err := rpcnet.CallRaw(ctx, conn, "echo", nil)
	return err
}

func TestFieldEveryLimitOfAnEndpointNamesItsField(t *testing.T) {
	t.Parallel()
	for name, c := range endpointLimits() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ep := rpctest.Listen(t, &c.config)
			serving(ep, echoServer(&rpcnet.ServerConfig{MaxMessageSize: 16 << 20}))
			err := c.exceed(t, ep)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %q", err, want)
				}
			}
		})
	}
}

// TestFieldACallOverTheLimitOfASessionWaitsForItsTurn: it fails only when its own
// time is over.
func TestFieldACallOverTheLimitOfASessionWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	conn := rpctest.Dial(t, rpctest.Serve(t, echoServer(nil), &rpcnet.EndpointConfig{MaxConcurrentStreams: 1}).Addr().String(), nil)
	running := open(t, within(t), conn, "talk")
	if err := running.Send([]byte("x")); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := rpcnet.CallRaw(within(t), conn, "echo", nil)
		answered <- err
	}()
	eventually(t, "the call waits", func() bool { return conn.Stats().Queued == 1 })
	running.Close()
	if err := <-answered; err != nil {
		t.Errorf("the call that waited: %v", err)
	}
}
