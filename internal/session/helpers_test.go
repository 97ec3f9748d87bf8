package session_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rpcnet-go/rpcnet/internal/budget"
	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/tlsconn"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// A handler serves the streams of a test.
type handler struct {
	info  session.ProcedureInfo
	serve map[string]func(*session.Stream)
}

func (h *handler) Procedure(procedure string) session.ProcedureInfo {
	f := h.info
	if f.MaxReceive == 0 {
		f.MaxReceive = 4 << 20
	}
	f.Inline = strings.HasPrefix(procedure, "inline")
	return f
}

func (h *handler) Serve(st *session.Stream) {
	if f := h.serve[st.Procedure]; f != nil {
		f(st)
		return
	}
	finish(st, wire.Status{Code: 12, Message: "unknown procedure " + st.Procedure})
}

func finish(st *session.Stream, s wire.Status) { st.Finish(nil, false, s.Append(nil)) }

// handlers are what most tests call.
func handlers() *handler {
	return &handler{serve: map[string]func(*session.Stream){
		"echo":   echo,
		"inline": echo,
		"deaf":   deaf,
		"drain":  drain,
		"fail":   func(st *session.Stream) { finish(st, wire.Status{Code: 9, Message: strings.Repeat("x", 1000)}) },
		"inline fail": func(st *session.Stream) {
			finish(st, wire.Status{Code: 9, Message: strings.Repeat("x", 1000)})
		},
	}}
}

func echo(st *session.Stream) {
	m, err := st.Recv(nil)
	if err != nil {
		finish(st, wire.Status{Code: 2, Message: err.Error()})
		return
	}
	st.Finish(m, true, nil)
}

// A canceled closes itself when the call is cancelled.
type canceled chan error

func (c canceled) Cancel(err error) { c <- err }

// deaf never receives, and ends when it is cancelled.
func deaf(st *session.Stream) {
	c := make(canceled, 8)
	if st.OnCancel(c) == nil {
		<-c
	}
	finish(st, wire.Status{})
}

// drain receives everything and ends.
func drain(st *session.Stream) {
	for {
		if _, err := st.Recv(nil); err != nil {
			finish(st, wire.Status{})
			return
		}
	}
}

// charged returns the account of a new session of a peer.
func charged(t testing.TB, b *budget.Budget, peer string) *budget.Account {
	t.Helper()
	a, err := session.Charge(b, peer)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// pair connects a caller's and a server's session.
func pair(t testing.TB, h session.Handler, caller, server session.Config) (c, s *session.Session) {
	t.Helper()
	a, b := tlsconn.Pipe()
	var pool session.Pool
	server.Handler, server.Pool = h, &pool
	made := make(chan error, 1)
	go func() {
		var err error
		s, err = session.New(b, server, patience, nil)
		made <- err
	}()
	c, err := session.New(a, caller, patience, nil)
	if err := errors.Join(err, <-made); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		s.Close()
		pool.Close()
	})
	return c, s
}

// A peer speaks frames by hand.
type peer struct {
	testing.TB
	conn *tlsconn.PipeEnd

	mu     sync.Mutex
	frames []frame // that have come
	ended  error
	came   chan struct{} // has a token when something came
}

type frame struct {
	wire.Header
	payload []byte
}

func (p *peer) read() {
	for {
		var h [wire.HeaderLen]byte
		_, err := io.ReadFull(p.conn, h[:])
		f := frame{Header: wire.ParseHeader(h[:])}
		if err == nil {
			f.payload = make([]byte, f.Len())
			_, err = io.ReadFull(p.conn, f.payload)
		}
		p.mu.Lock()
		if err != nil {
			p.ended = err
		} else {
			p.frames = append(p.frames, f)
		}
		p.mu.Unlock()
		select {
		case p.came <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// next returns the next frame; its type is 0 at the end of the session.
func (p *peer) next() frame {
	p.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		p.mu.Lock()
		if len(p.frames) > 0 {
			f := p.frames[0]
			p.frames = p.frames[1:]
			p.mu.Unlock()
			return f
		}
		ended := p.ended
		p.mu.Unlock()
		if ended != nil {
			return frame{}
		}
		select {
		case <-p.came:
		case <-timeout.C:
			p.Fatal("no frame came")
		}
	}
}

// until returns the frames up to the first of type t.
func (p *peer) until(t wire.Type) (all []frame) {
	p.Helper()
	for {
		f := p.next()
		if f.Type() == 0 && t != 0 {
			p.Fatalf("the session ended before a %v frame; it said %v", t, all)
		}
		all = append(all, f)
		if f.Type() == t {
			return all
		}
	}
}

// last is the last frame of until.
func (p *peer) last(t wire.Type) frame {
	p.Helper()
	all := p.until(t)
	return all[len(all)-1]
}

// status waits for the STATUS of a stream.
func (p *peer) status(id uint32) (s wire.Status) {
	p.Helper()
	for {
		if f := p.last(wire.TypeStatus); f.ID() == id {
			if err := s.Parse(f.payload); err != nil {
				p.Fatal(err)
			}
			return s
		}
	}
}

// sync waits until the session has answered everything so far, and returns the
// frames it sent meanwhile.
func (p *peer) sync() []frame {
	p.Helper()
	p.send(wire.TypePing, 0, 0, []byte("sync sync"[:8]))
	all := p.until(wire.TypePong)
	return all[:len(all)-1]
}

func (p *peer) send(t wire.Type, flags uint64, id uint32, payload []byte) {
	p.write(raw(t, flags, id, payload))
}

// write writes bytes; the session may have ended.
func (p *peer) write(b []byte) {
	p.Helper()
	if _, err := p.conn.Write(b); err != nil && !errors.Is(err, net.ErrClosed) {
		p.Fatal(err)
	}
}

func raw(t wire.Type, flags uint64, id uint32, payload []byte) []byte {
	return append(wire.MakeHeader(t, flags, id, len(payload)).Append(nil), payload...)
}

// open is the payload of an OPEN. An empty name is left out; a nil message too.
func open(number uint32, name string, message []byte) []byte {
	o := wire.Open{Number: number, HasMessage: message != nil}
	if name != "" {
		o.Name = []byte(name)
	}
	return append(o.Append(nil), message...)
}

func credit(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

func settings(s wire.Settings) []byte {
	s.Version = wire.Version
	return raw(wire.TypeSettings, 0, 0, s.Append(nil))
}

// against starts a session of cfg whose other side is the peer. With deafPeer
// the peer reads nothing after SETTINGS.
func against(t testing.TB, cfg session.Config, theirs wire.Settings, deafPeer bool) (*session.Session, *peer) {
	t.Helper()
	a, b := tlsconn.Pipe()
	p := &peer{TB: t, conn: b, came: make(chan struct{}, 1)}
	p.write(settings(theirs))
	var pool *session.Pool
	if cfg.Handler != nil {
		pool = new(session.Pool)
		cfg.Pool = pool
	}
	s, err := session.New(a, cfg, patience, nil)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	if deafPeer {
		close(read)
	} else {
		go func() { defer close(read); p.read() }()
		p.last(wire.TypeSettings)
	}
	t.Cleanup(func() {
		s.Close()
		p.conn.Close()
		<-read
		if pool != nil {
			pool.Close()
		}
	})
	return s, p
}

// ended waits for the end of a session and returns why.
func ended(t testing.TB, s *session.Session) error {
	t.Helper()
	select {
	case <-s.Closed():
		return s.Err()
	case <-time.After(patience):
		t.Fatal("the session did not end")
		return nil
	}
}

func wantText(t testing.TB, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want %q in it", err, text)
	}
}
