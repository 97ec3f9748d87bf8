package rpcnet_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// Streams that nobody reads hold up nobody but their own senders, however many
// there are and whichever side does not read.
func TestFieldUnreadStreamsHoldUpNobody(t *testing.T) { // not parallel: it takes much memory
	const message = 32 << 10
	for _, c := range []struct{ streams, messages int }{
		{600, 7},  // nearly the window of a stream: 131 MiB
		{2000, 2}, // 125 MiB
	} {
		srv := echoServer(nil)
		var blocked atomic.Int64 // handlers that have sent all
		srv.HandleStream("pour", func(ctx context.Context, st rpcnet.ServerStream) error {
			for range c.messages {
				if err := st.Send(make([]byte, message)); err != nil {
					return err
				}
			}
			blocked.Add(1)
			<-ctx.Done()
			return nil
		})
		srv.HandleStream("deaf", func(ctx context.Context, _ rpcnet.ServerStream) error {
			<-ctx.Done()
			return nil
		})
		ep := rpctest.Serve(t, srv, &rpcnet.EndpointConfig{MemoryBudget: 1 << 30})
		for _, side := range []string{"the caller does not read", "the handler does not read"} {
			t.Run(fmt.Sprintf("%d streams, %s", c.streams, side), func(t *testing.T) {
				ctx, cancel := context.WithCancel(within(t))
				defer cancel()
				conn := rpctest.Dial(t, ep.Addr().String(), nil)
				name := "pour"
				if side == "the handler does not read" {
					name = "deaf"
				}
				for range c.streams {
					st := open(t, ctx, conn, name)
					if name == "pour" {
						if err := st.CloseSend(); err != nil {
							t.Fatal(err)
						}
						continue
					}
					for range c.messages {
						if err := st.Send(make([]byte, message)); err != nil {
							t.Fatal(err)
						}
					}
				}
				begin := time.Now()
				mustEcho(t, conn, make([]byte, 100<<10))
				fresh := open(t, ctx, conn, "talk")
				for range 100 {
					var m []byte
					if err := fresh.Send(make([]byte, message)); err != nil {
						t.Fatal(err)
					}
					if err := fresh.Recv(&m); err != nil || len(m) != message {
						t.Fatalf("%d bytes, %v", len(m), err)
					}
				}
				passed := time.Since(begin)
				held := int64(c.streams * c.messages * message)
				if name == "pour" {
					eventually(t, "all that was sent is held", func() bool {
						return blocked.Load() == int64(c.streams) && conn.Stats().Unread >= held
					})
				} else {
					eventually(t, "all that was sent is held", func() bool {
						return ep.Stats().Memory.ByKind["messages"] >= held
					})
				}
				t.Logf("field | %d unread streams, %d MiB, %s | a call and a fresh stream go on | 101 answers in %v",
					c.streams, held>>20, side, passed.Round(time.Millisecond))
			})
		}
	}
}
