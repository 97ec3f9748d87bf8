package session_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/tlsconn"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// silent starts a session against a peer that never speaks by itself, in a
// bubble.
func silent(t *testing.T, cfg session.Config, f func(s *session.Session, p *peer)) {
	synctest.Test(t, func(t *testing.T) {
		cfg.Handler = handlers()
		s, p := against(t, cfg, wire.Settings{}, false)
		f(s, p)
	})
}

func TestKeepalive(t *testing.T) {
	t.Parallel()
	t.Run("a silent peer is asked after 3 s and given up after 10 s", func(t *testing.T) {
		t.Parallel()
		silent(t, session.Config{}, func(s *session.Session, p *peer) {
			begin := time.Now()
			p.last(wire.TypePing)
			if d := time.Since(begin); d < 3*time.Second || d > 5*time.Second {
				t.Errorf("asked after %v", d)
			}
			wantText(t, ended(t, s), "the peer has been silent for 10s")
			if d := time.Since(begin); d < 10*time.Second || d > 12*time.Second {
				t.Errorf("given up after %v", d)
			}
		})
	})
	t.Run("an answer is a sign of life", func(t *testing.T) {
		t.Parallel()
		silent(t, session.Config{}, func(s *session.Session, p *peer) {
			for range 20 {
				f := p.last(wire.TypePing)
				p.send(wire.TypePong, 0, 0, f.payload)
			}
			if err := s.Err(); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("options", func(t *testing.T) {
		t.Parallel()
		cfg := session.Config{KeepaliveIdle: 200 * time.Millisecond, KeepaliveTimeout: time.Second}
		silent(t, cfg, func(s *session.Session, p *peer) {
			begin := time.Now()
			p.last(wire.TypePing)
			if d := time.Since(begin); d > 500*time.Millisecond {
				t.Errorf("asked after %v", d)
			}
			ended(t, s)
			if d := time.Since(begin); d < time.Second || d > 1500*time.Millisecond {
				t.Errorf("given up after %v", d)
			}
		})
	})
	t.Run("nobody is given up who was not asked", func(t *testing.T) {
		t.Parallel()
		cfg := session.Config{KeepaliveIdle: 20 * time.Second, KeepaliveTimeout: 10 * time.Second}
		silent(t, cfg, func(s *session.Session, p *peer) {
			for range 3 {
				begin := time.Now()
				f := p.last(wire.TypePing)
				if d := time.Since(begin); d < 20*time.Second || d > 22*time.Second {
					t.Errorf("asked after %v", d)
				}
				p.send(wire.TypePong, 0, 0, f.payload)
			}
			p.last(wire.TypePing)
			begin := time.Now()
			ended(t, s)
			if d := time.Since(begin); d == 0 || d > 2*time.Second {
				t.Errorf("given up %v after it was asked", d)
			}
		})
	})
	t.Run("off", func(t *testing.T) {
		t.Parallel()
		silent(t, session.Config{KeepaliveIdle: -1}, func(s *session.Session, p *peer) {
			time.Sleep(time.Hour)
			if err := s.Err(); err != nil {
				t.Error(err)
			}
			if len(p.sync()) > 0 {
				t.Error("frames without keepalive")
			}
		})
	})
	t.Run("a caller's idle session hears its peer", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c, s := pair(t, handlers(), session.Config{}, session.Config{})
			for range 5 {
				call(t, c, "echo")
				time.Sleep(time.Minute)
			}
			if c.Err() != nil || s.Err() != nil {
				t.Error(c.Err(), s.Err())
			}
			s.Drain()
			<-c.GoingAway()
		})
	})
}

func TestPeerThatStopsReadingIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := handlers()
		failed := make(chan error, 1)
		h.serve["flood"] = func(st *session.Stream) {
			var err error
			for err == nil {
				err = st.Send(make([]byte, 10_000), false, nil)
			}
			failed <- err
			finish(st, wire.Status{})
		}
		// Keepalive is off, and the windows are wide: the write alone tells.
		cfg := session.Config{Handler: h, KeepaliveIdle: -1, WriteTimeout: 5 * time.Second}
		s, p := against(t, cfg, wire.Settings{StreamWindow: 1 << 30, SessionWindow: 1 << 30}, true)
		begin := time.Now()
		p.send(wire.TypeOpen, 0, 1, open(1, "flood", nil))
		wantText(t, ended(t, s), "the peer has not read for 5s")
		if d := time.Since(begin); d < 5*time.Second || d > 10*time.Second {
			t.Errorf("given up after %v", d)
		}
		if err := <-failed; err == nil {
			t.Error("the handler was not told")
		}
	})
}

func TestHandshakeTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := tlsconn.Pipe()
		defer b.Close()
		begin := time.Now()
		if _, err := session.New(a, session.Config{}, 10*time.Second, nil); err == nil {
			t.Error("a session with a peer that says nothing")
		}
		if d := time.Since(begin); d != 10*time.Second {
			t.Errorf("gave up after %v", d)
		}
	})
}

func TestDeadlineTravels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		deadlines := make(chan time.Time, 1)
		h := handlers()
		h.serve["when"] = func(st *session.Stream) {
			deadlines <- st.Deadline
			echo(st)
		}
		c, _ := pair(t, h, session.Config{}, session.Config{})
		for _, timeout := range []time.Duration{0, time.Microsecond, time.Second, 1000 * time.Hour, 1<<63 - 1} {
			st, err := c.Call(&session.Request{Procedure: "when", Timeout: uint64(timeout / time.Microsecond)}, []byte("x"), nil, false)
			if err != nil {
				t.Fatal(err)
			}
			st.Release()
			d := <-deadlines
			if timeout == 0 {
				if !d.IsZero() {
					t.Errorf("a call without deadline has %v", d)
				}
				continue
			}
			if left := time.Until(d); left > timeout || left < timeout-time.Millisecond {
				t.Errorf("a call with %v has %v left", timeout, left)
			}
		}
	})
}

// Whoever writes to a peer that does not read its socket waits no longer than
// its own context, though the write itself cannot be taken back.
func TestSendersOnAStuckConnHonourTheirContext(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"small": 1000, "large": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := session.Config{KeepaliveIdle: -1, WriteTimeout: time.Hour}
				s, _ := against(t, cfg, wire.Settings{StreamWindow: 1 << 30, SessionWindow: 1 << 30}, true)
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
				for range 2 {
					if err := <-ended; !session.IsInterrupted(err) {
						t.Errorf("%v", err)
					}
				}
				if d := time.Since(begin); d > 2*time.Second {
					t.Errorf("a context of 1 s ended a call after %v", d)
				}
			})
		})
	}
}

// A served stream whose caller has stopped waiting waits for nothing more, on
// its own: the caller need not say so.
func TestAStreamThatHasExpiredWaitsForNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 500 * time.Millisecond
		sent := make(chan error)
		errs := make(chan error, 2)
		var took time.Duration
		h := &handler{serve: map[string]func(*session.Stream){"late": func(st *session.Stream) {
			begin := time.Now()
			st.ExpireAt(begin.Add(limit))
			go func() {
				for { // until the credit is used up
					if err := st.Send(make([]byte, 1000), false, nil); err != nil {
						sent <- err
						return
					}
				}
			}()
			_, err := st.Recv(nil)
			took = time.Since(begin)
			errs <- err
			errs <- <-sent
			finish(st, wire.Status{Code: 4})
		}}}
		_, p := against(t, session.Config{Handler: h}, wire.Settings{StreamWindow: wire.MinWindow}, false)
		p.send(wire.TypeOpen, 0, 1, open(1, "late", nil))
		if st := p.status(1); st.Code != 4 {
			t.Errorf("%+v", st)
		}
		for range 2 {
			if err := <-errs; err != session.ErrExpired {
				t.Errorf("%v", err)
			}
		}
		if took != limit {
			t.Errorf("after %v, want %v", took, limit)
		}
	})
}
