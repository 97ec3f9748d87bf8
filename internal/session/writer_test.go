package session_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A peer that does not read and goes on sending holds up neither senders, who
// have a context of their own, nor the reader.
func TestNobodyWaitsForAPeerThatSendsAndDoesNotRead(t *testing.T) { // not parallel: others look at the heap
	for name, size := range map[string]int{"small": 1000, "large": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := session.Config{KeepaliveIdle: -1, WriteTimeout: time.Hour}
				s, p := against(t, cfg, wire.Settings{StreamWindow: 1 << 30, SessionWindow: 1 << 30}, true)
				begin := time.Now()
				done := make(chan struct{})
				time.AfterFunc(time.Second, func() { close(done) })
				ended := make(chan error, 2)
				go func() {
					st, err := s.NewStream(&session.Request{Procedure: "x"}, done)
					for err == nil {
						err = st.Send(make([]byte, size), false, done)
						time.Sleep(time.Millisecond)
					}
					ended <- err
				}()
				go func() {
					var err error
					for err == nil {
						_, err = s.Call(&session.Request{Procedure: "y"}, make([]byte, size), done, true)
					}
					ended <- err
				}()
				spoken := make(chan struct{})
				go func() { // more than the connection holds, if nobody reads
					defer close(spoken)
					some := bytes.Repeat(raw(wire.TypeCredit, 0, 0, credit(1)), 50)
					for range 1000 {
						p.write(some)
						time.Sleep(time.Millisecond)
					}
				}()
				for range 2 {
					if err := <-ended; !session.IsInterrupted(err) {
						t.Errorf("%v", err)
					}
				}
				<-spoken
				if d := time.Since(begin); d > 2*time.Second {
					t.Errorf("a context of 1 s ended a call after %v", d)
				}
			})
		})
	}
}
