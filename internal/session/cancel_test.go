package session_test

import (
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A slowCanceler takes its time, and notes whether the handler had learned of the end
// from its stream by then.
type slowCanceler struct {
	returned atomic.Bool // Recv or Send has
	early    atomic.Bool
	cause    chan error
}

func (c *slowCanceler) Cancel(cause error) {
	time.Sleep(20 * time.Millisecond) // so that whoever was woken runs
	c.early.Store(c.returned.Load())
	select {
	case c.cause <- cause:
	default:
	}
}

// Whatever ends a call, its handler is cancelled before Recv and Send tell: a
// handler that looks at its context then finds that it has ended.
func TestTheHandlerIsCancelledFirst(t *testing.T) {
	t.Parallel()
	ends := map[string]func(caller *session.Stream, c, s *session.Session){
		"the caller gives up":       func(st *session.Stream, _, _ *session.Session) { st.Abandon(1, errors.New("enough")) },
		"the caller's time is over": func(st *session.Stream, _, _ *session.Session) { st.Abandon(4, errors.New("late")) },
		"a message is too large":    func(st *session.Stream, _, _ *session.Session) { st.Send(make([]byte, 2000), false, nil) },
		"the server cuts":           func(_ *session.Stream, _, s *session.Session) { s.CutAll(14, "cut", errors.New("cut")) },
		"the session ends":          func(_ *session.Stream, c, _ *session.Session) { c.Close() },
		"the deadline passes":       func(*session.Stream, *session.Session, *session.Session) {},
	}
	waits := map[string]func(st *session.Stream) error{
		"receives": func(st *session.Stream) error { _, err := st.Recv(nil); return err },
		"sends": func(st *session.Stream) (err error) {
			for err == nil {
				err = st.Send(make([]byte, 10_000), false, nil)
			}
			return err
		},
	}
	for end, stop := range ends {
		for what, wait := range waits {
			t.Run(end+" while the handler "+what, func(t *testing.T) {
				t.Parallel()
				timeout := uint64(patience / time.Microsecond)
				if end == "the deadline passes" {
					timeout = 100_000
				}
				told := &slowCanceler{cause: make(chan error, 1)}
				h := handlers()
				h.info.MaxReceive = 1000
				h.serve["hold"] = func(st *session.Stream) {
					if cause := st.OnCancel(told); cause != nil { // the end came before the handler ran
						told.Cancel(cause)
					}
					st.ExpireAt(st.Deadline)
					if wait(st) == nil {
						t.Error("the stream goes on")
					}
					told.returned.Store(true)
					finish(st, wire.Status{})
				}
				c, s := pair(t, h, session.Config{KeepaliveIdle: -1}, session.Config{KeepaliveIdle: -1})
				st, err := c.NewStream(&session.Request{Procedure: "hold", Timeout: timeout}, nil)
				if err == nil {
					err = st.Open()
				}
				if err != nil {
					t.Fatal(err)
				}
				eventually(t, func() bool { return s.InFlight() == 1 })
				stop(st, c, s)
				<-told.cause
				if told.early.Load() {
					t.Error("the stream told the handler before it was cancelled")
				}
				st.Abandon(1, errors.New("done"))
			})
		}
	}
}

// A caller that gives up after the server has ended the call, but before it has
// received all, gets an error: what is left of the stream must not look whole.
func TestACallThatIsGivenUpWithMessagesLeftDoesNotEndWell(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	for name, c := range map[string]struct {
		messages []string
		want     error // of Recv after the last message that it returns
	}{
		"a message is left":        {[]string{"a"}, enough},
		"an empty message is left": {[]string{""}, enough},
		"nothing is left":          {nil, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := against(t, session.Config{KeepaliveIdle: -1}, wire.Settings{Version: 1}, false)
			st, err := s.NewStream(&session.Request{Procedure: "feed"}, nil)
			if err == nil {
				err = st.Open()
			}
			if err != nil {
				t.Fatal(err)
			}
			p.last(wire.TypeOpen)
			for _, m := range c.messages {
				p.send(wire.TypeData, 0, 1, []byte(m))
			}
			p.send(wire.TypeStatus, 0, 1, nil)
			p.sync()
			st.Abandon(wire.CodeCanceled, enough)
			if m, err := st.Recv(nil); err != c.want {
				t.Errorf("Recv = %q, %v, want %v", m, err, c.want)
			}
		})
	}
}
