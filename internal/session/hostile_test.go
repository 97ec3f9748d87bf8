package session_test

import (
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/budget"
	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/tlsconn"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// serve starts a server's session against a peer that plays the caller.
func serve(t testing.TB, cfg session.Config) (*session.Session, *peer) {
	t.Helper()
	if cfg.Handler == nil {
		cfg.Handler = handlers()
	}
	return against(t, cfg, wire.Settings{}, false)
}

// What breaks the protocol ends the session, with the reason to the peer.
func TestCallersThatBreakTheProtocol(t *testing.T) {
	t.Parallel()
	const end = wire.FlagEnd
	first := raw(wire.TypeOpen, end, 1, open(1, "echo", []byte("x")))
	deaf := raw(wire.TypeOpen, 0, 1, open(1, "deaf", nil))
	header := func(h uint64) []byte { return binary.LittleEndian.AppendUint64(nil, h) }
	for name, c := range map[string]struct {
		bytes []byte
		text  string
	}{
		"unknown frame":                 {raw(31, 0, 0, []byte("x")), "unknown type 31"},
		"frame of type 0":               {raw(0, 0, 0, nil), "unknown"},
		"DATA over its limit":           {header(3<<24 | 0xffffff), "over the limit"},
		"OPEN over its limit":           {header(2<<24 | 0xffffff | 1<<32), "over the limit"},
		"STATUS over its limit":         {header(5<<24 | 0xffffff), "over the limit"},
		"ignorable over its limit":      {header(30<<24 | 0xffffff | wire.FlagIgnorable), "over the limit"},
		"RESET over its limit":          {raw(wire.TypeReset, 0, 1, []byte{1, 2}), "over the limit"},
		"PING over its limit":           {raw(wire.TypePing, 0, 0, make([]byte, 9)), "over the limit"},
		"END with a payload":            {raw(wire.TypeEnd, 0, 1, []byte{1}), "over the limit"},
		"second SETTINGS":               {settings(wire.Settings{}), "second SETTINGS"},
		"OPEN of stream 0":              {raw(wire.TypeOpen, end, 0, open(1, "echo", nil)), "over the limit"},
		"OPEN over the limit of ids":    {raw(wire.TypeOpen, end, 1<<31, open(1, "echo", nil)), "over the limit"},
		"empty OPEN":                    {raw(wire.TypeOpen, end, 1, nil), "ends early"},
		"number without a name":         {raw(wire.TypeOpen, end, 1, open(1, "", nil)), "no name yet"},
		"neither number nor name":       {raw(wire.TypeOpen, end, 1, open(0, "", nil)), "neither a number nor a name"},
		"number out of turn":            {raw(wire.TypeOpen, end, 1, open(2, "echo", nil)), "out of turn"},
		"number over the limit":         {raw(wire.TypeOpen, end, 1, open(wire.MaxProcedures+1, "echo", nil)), "procedure number"},
		"number with another name":      {append(first, raw(wire.TypeOpen, end, 2, open(1, "deaf", nil))...), "cannot become"},
		"OPEN of an open stream":        {append(deaf, raw(wire.TypeOpen, end, 1, open(1, "", nil))...), "which is open"},
		"OPEN with more and end":        {raw(wire.TypeOpen, end|wire.FlagMore, 1, open(1, "echo", []byte("x"))), "contradicting"},
		"OPEN with more and nothing":    {raw(wire.TypeOpen, wire.FlagMore, 1, open(1, "echo", nil)), "contradicting"},
		"DATA with more and end":        {append(deaf, raw(wire.TypeData, end|wire.FlagMore, 1, []byte("x"))...), "goes on"},
		"DATA after the end":            {append(raw(wire.TypeOpen, end, 1, open(1, "deaf", nil)), raw(wire.TypeData, 0, 1, []byte("x"))...), "after the end"},
		"END in the midst of a message": {append(raw(wire.TypeOpen, wire.FlagMore, 1, open(1, "deaf", []byte("x"))), raw(wire.TypeEnd, 0, 1, nil)...), "midst"},
		"STATUS from a caller":          {raw(wire.TypeStatus, 0, 1, nil), "from a caller"},
		"HEADER from a caller":          {raw(wire.TypeHeader, 0, 1, nil), "from a caller"},
		"short CREDIT":                  {raw(wire.TypeCredit, 0, 0, []byte{1}), "CREDIT frame of 1 bytes"},
		"metadata longer than its OPEN": {raw(wire.TypeOpen, end, 1, []byte{0x50, 0, 0, 1, 1, 'x', 0xff, 0xff, 0x03}), "ends early"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := serve(t, session.Config{})
			p.write(c.bytes)
			f := p.last(wire.TypeGoAway)
			if f.payload[0] != wire.ReasonProtocol || !strings.Contains(string(f.payload[1:]), c.text) {
				t.Errorf("GOAWAY %d %q, want reason %d and %q", f.payload[0], f.payload[1:], wire.ReasonProtocol, c.text)
			}
			err := ended(t, s)
			wantText(t, err, "the peer broke the protocol")
			wantText(t, err, c.text)
		})
	}
}

// The same for servers.
func TestServersThatBreakTheProtocol(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bytes []byte
		text  string
	}{
		"OPEN":                          {raw(wire.TypeOpen, wire.FlagEnd, 1, open(1, "echo", nil)), "OPEN from a server"},
		"END":                           {raw(wire.TypeEnd, 0, 1, nil), "END from a server"},
		"RESET":                         {raw(wire.TypeReset, 0, 1, []byte{1}), "RESET from a server"},
		"STATUS of a stream never open": {raw(wire.TypeStatus, 0, 9, nil), "not open"},
		"STATUS out of range":           {raw(wire.TypeStatus, 0, 1<<30, nil), "not open"},
		"second STATUS":                 {append(raw(wire.TypeStatus, 0, 1, nil), raw(wire.TypeStatus, 0, 1, nil)...), "not open"},
		"unknown frame":                 {raw(29, 0, 0, nil), "unknown type 29"},
		"second SETTINGS":               {settings(wire.Settings{}), "second SETTINGS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := against(t, session.Config{}, wire.Settings{}, false)
			st, err := s.NewStream(&session.Request{Procedure: "x"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := st.Open(); err != nil {
				t.Fatal(err)
			}
			p.last(wire.TypeOpen)
			p.write(c.bytes)
			wantText(t, ended(t, s), c.text)
			if f := p.last(wire.TypeGoAway); f.payload[0] != wire.ReasonProtocol {
				t.Errorf("GOAWAY %q", f.payload)
			}
		})
	}
}

func TestFramesForUnknownAndClosedStreamsAreIgnored(t *testing.T) {
	t.Parallel()
	s, p := serve(t, session.Config{})
	p.send(wire.TypeOpen, wire.FlagEnd, 1, open(1, "echo", []byte("x")))
	p.status(1)
	for _, id := range []uint32{1, 2, 9999} {
		p.send(wire.TypeData, 0, id, make([]byte, 20_000))
		p.send(wire.TypeData, wire.FlagMore, id, []byte("x"))
		p.send(wire.TypeEnd, 0, id, nil)
		p.send(wire.TypeReset, 0, id, []byte{1})
		p.send(wire.TypeReset, 0, id, nil)
		p.send(wire.TypeCredit, 0, id, credit(1<<31))
	}
	p.send(30, wire.FlagIgnorable, 5, []byte("from the future"))
	for _, f := range p.sync() {
		if f.Type() != wire.TypeCredit || f.ID() != 0 {
			t.Errorf("an answer to frames for nobody: %v %d", f.Type(), f.ID())
		}
	}
	if b := s.Buffered(); b != 0 {
		t.Errorf("%d bytes are buffered for streams that do not exist", b)
	}
	p.send(wire.TypeOpen, wire.FlagEnd, 1, open(1, "", []byte("again")))
	if st := p.status(1); st.Code != 0 {
		t.Errorf("the next call: %+v", st)
	}
}

func TestWindowsAreEnforced(t *testing.T) {
	t.Parallel()
	t.Run("stream", func(t *testing.T) {
		t.Parallel()
		s, p := serve(t, session.Config{StreamWindow: wire.MinWindow, MaxStreamWindow: wire.MinWindow})
		p.send(wire.TypeOpen, 0, 1, open(1, "deaf", nil))
		for range 3 {
			p.send(wire.TypeData, 0, 1, make([]byte, 60_000))
		}
		wantText(t, ended(t, s), "more bytes than the credit allowed")
	})
	t.Run("empty messages cost too", func(t *testing.T) {
		t.Parallel()
		s, p := serve(t, session.Config{StreamWindow: wire.MinWindow, MaxStreamWindow: wire.MinWindow})
		p.send(wire.TypeOpen, 0, 1, open(1, "deaf", nil))
		var b []byte
		for range wire.MinWindow/wire.FrameCost + 1 {
			b = append(b, raw(wire.TypeData, 0, 1, nil)...)
		}
		p.write(b)
		wantText(t, ended(t, s), "more bytes than the credit allowed")
	})
}

// What streams hold that nobody reads holds back no credit of the session.
func TestUnreadStreamsHoldBackNoSessionCredit(t *testing.T) {
	t.Parallel()
	const window, streams, message = 1 << 20, 50, 60_000
	s, p := serve(t, session.Config{SessionWindow: window, SessionBuffer: 1})
	credit := window
	for id := uint32(1); id <= streams; id++ {
		name := ""
		if id == 1 {
			name = "deaf"
		}
		p.send(wire.TypeOpen, 0, id, open(1, name, nil))
		for range 3 {
			credit -= message + wire.FrameCost
			p.send(wire.TypeData, 0, id, make([]byte, message))
		}
		for _, f := range p.sync() {
			if f.Type() == wire.TypeCredit && f.ID() == 0 {
				credit += int(binary.LittleEndian.Uint32(f.payload))
			}
		}
		if credit < window/2 {
			t.Fatalf("after %d streams %d bytes of credit are left of %d", id, credit, window)
		}
	}
	if held := s.Unread(); held < streams*3*message {
		t.Errorf("%d bytes are unread, want all %d", held, streams*3*message)
	}
}

// The windows of all streams together grow by no more than the session may hold,
// and a stream that ends leaves its growth to others.
func TestStreamWindowsGrowWithinTheSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const most, streams, message = 2 * wire.MinWindow, 8, 50_000
		cfg := session.Config{Handler: handlers(), KeepaliveIdle: -1, StreamWindow: wire.MinWindow, MaxStreamWindow: 8 * wire.MinWindow, SessionBuffer: most}
		_, p := against(t, cfg, wire.Settings{}, false)
		for round := range 3 {
			grown := 0
			for id := uint32(1); id <= streams; id++ {
				name := ""
				if round == 0 && id == 1 {
					name = "drain"
				}
				p.send(wire.TypeOpen, 0, id, open(1, name, nil))
				for range 20 {
					p.send(wire.TypeData, 0, id, make([]byte, message))
					grown -= message + wire.FrameCost
					synctest.Wait()
					for _, f := range p.sync() {
						if f.Type() == wire.TypeCredit && f.ID() == id {
							grown += int(binary.LittleEndian.Uint32(f.payload))
						}
					}
				}
			}
			if least := most - streams*wire.MinWindow; grown > most || grown < least {
				t.Errorf("round %d: the windows grew by %d bytes, want at most %d", round, grown, most)
			}
			for id := uint32(1); id <= streams; id++ {
				p.send(wire.TypeEnd, 0, id, nil)
				p.status(id)
			}
		}
	})
}

func TestCreditOverflowEndsTheSession(t *testing.T) {
	t.Parallel()
	for _, id := range []uint32{0, 1} {
		s, p := serve(t, session.Config{})
		p.send(wire.TypeOpen, 0, 1, open(1, "deaf", nil))
		for range 300 {
			p.send(wire.TypeCredit, 0, id, credit(1<<32-1))
		}
		wantText(t, ended(t, s), "more credit than")
	}
}

// A peer that asks and never reads is given up before what it is owed takes
// much memory.
func TestPeersThatAskAndNeverReadAreGivenUp(t *testing.T) {
	t.Parallel()
	open1 := func(name string) func(i int) []byte {
		return func(i int) []byte {
			id := uint32(i%wire.DefaultMaxStreams + 1)
			var message []byte // without one nothing needs credit, and CREDIT tells nothing
			if strings.Contains(name, "echo") || name == "inline" {
				message = []byte("x")
			}
			if i == 0 {
				return raw(wire.TypeOpen, wire.FlagEnd, id, open(1, name, message))
			}
			return raw(wire.TypeOpen, wire.FlagEnd, id, open(1, "", message))
		}
	}
	for name, next := range map[string]func(i int) []byte{
		"PING":              func(int) []byte { return raw(wire.TypePing, 0, 0, make([]byte, 8)) },
		"unknown procedure": open1("nobody knows this name"),
		"error":             open1("fail"),
		"inline error":      open1("inline fail"),
		"echo":              open1("echo"),
		"inline echo":       open1("inline"),
		"RESET": func(i int) []byte {
			return append(open1("deaf")(i), raw(wire.TypeReset, 0, uint32(i%wire.DefaultMaxStreams+1), []byte{1})...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := session.Config{Handler: handlers(), WriteTimeout: 3 * time.Second}
			s, p := against(t, cfg, wire.Settings{}, true)
			before := heap()
			var most atomic.Int64
			written := make(chan struct{})
			go func() {
				defer close(written)
				for i := range 2_000_000 {
					if _, err := p.conn.Write(next(i)); err != nil {
						return
					}
					if i%20_000 == 0 {
						most.Store(max(most.Load(), heap()))
					}
					for i%1000 == 0 && s.InFlight() > 0 && s.Err() == nil {
						runtime.Gosched() // it knows the protocol
					}
				}
			}()
			err := ended(t, s)
			if grown := most.Load() - before; grown > 100<<20 { // of all parallel ones together
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
			if text := err.Error(); !strings.Contains(text, "has not read") && !strings.Contains(text, "does not read") && !strings.Contains(text, "which is open") {
				t.Error(err)
			}
			<-written
		})
	}
}

// heap returns the size of the heap, with what is not collected yet.
func heap() int64 { return int64(memStats().HeapInuse) }

func memStats() (m runtime.MemStats) {
	runtime.ReadMemStats(&m)
	return m
}

// 100 000 calls that are given up at once, by a peer that reads: every one gets
// its STATUS, handlers are bounded, and the session lives.
func TestRapidReset(t *testing.T) {
	t.Parallel()
	const limit, rounds = 100, 1000
	s, p := serve(t, session.Config{MaxStreams: limit})
	for round := range rounds {
		var b []byte
		for id := uint32(1); id <= limit; id++ {
			name := ""
			if round == 0 && id == 1 {
				name = "deaf"
			}
			b = append(b, raw(wire.TypeOpen, 0, id, open(1, name, nil))...)
			b = append(b, raw(wire.TypeReset, 0, id, []byte{1})...)
		}
		p.write(b)
		answered := map[uint32]bool{}
		for range limit {
			answered[p.last(wire.TypeStatus).ID()] = true
		}
		if len(answered) != limit {
			t.Fatalf("round %d: STATUS for %d streams of %d", round, len(answered), limit)
		}
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
	if s.InFlight() != 0 {
		t.Errorf("%d streams in flight", s.InFlight())
	}
}

// A call that was given up keeps its place while its handler runs: its STATUS
// comes at the handler's end, and until then the id is in use.
func TestAHandlerThatIgnoresItsCallerKeepsTheCallersPlace(t *testing.T) {
	t.Parallel()
	h, release := stubborn(session.ProcedureInfo{})
	s, p := serve(t, session.Config{MaxStreams: 2, Handler: h})
	for range 3 {
		p.send(wire.TypeOpen, 0, 1, open(1, "stubborn", nil))
		p.send(wire.TypeReset, 0, 1, []byte{1})
		if came := p.sync(); len(came) != 0 {
			t.Fatalf("%v before the handler has ended", came)
		}
		if s.InFlight() != 0 {
			t.Error("a drain would wait for a call whose caller has gone")
		}
		release <- struct{}{}
		if st := p.status(1); st.Code != 1 {
			t.Errorf("after RESET: %+v", st)
		}
	}
	p.send(wire.TypeOpen, 0, 1, open(1, "", nil))
	p.send(wire.TypeReset, 0, 1, []byte{1})
	p.send(wire.TypeOpen, 0, 1, open(1, "", nil))
	wantText(t, ended(t, s), "OPEN of stream 1, which is open")
	release <- struct{}{}
}

// A request over the limit is no matter of another server.
func TestARequestOverTheLimitIsNotForOthersToTake(t *testing.T) {
	t.Parallel()
	h := handlers()
	h.info.MaxReceive = 10
	_, p := serve(t, session.Config{Handler: h})
	p.send(wire.TypeOpen, wire.FlagEnd, 1, open(1, "echo", make([]byte, 11)))
	if st := p.status(1); st.Code != 8 || st.Unprocessed {
		t.Errorf("%+v", st)
	}
}

// Handlers that outlive a call which the server itself has ended count against
// the limit of streams.
func TestHandlersThatIgnoreCancellationAreBounded(t *testing.T) {
	t.Parallel()
	h, release := stubborn(session.ProcedureInfo{MaxReceive: 10})
	s, p := serve(t, session.Config{MaxStreams: 2, Handler: h})
	p.send(wire.TypeOpen, 0, 1, open(1, "stubborn", nil))
	for range 2 {
		p.send(wire.TypeData, 0, 1, make([]byte, 11))
		if st := p.status(1); st.Code != 8 || st.Unprocessed {
			t.Errorf("after a message over the limit: %+v", st)
		}
		p.send(wire.TypeOpen, 0, 1, open(1, "", nil))
	}
	st := p.status(1)
	if st.Code != 8 || !st.Unprocessed || !strings.Contains(st.Message, "rpcnet.EndpointConfig.MaxConcurrentStreams") {
		t.Errorf("the third: %+v", st)
	}
	close(release)
	for done := false; !done; { // the handlers end; then there is room again
		p.send(wire.TypeOpen, 0, 1, open(1, "", nil))
		done = p.status(1).Code == 0
	}
	if s.Err() != nil {
		t.Error(s.Err())
	}
}

// stubborn returns handlers of which one ends only when it is released.
func stubborn(info session.ProcedureInfo) (*handler, chan struct{}) {
	release := make(chan struct{})
	return &handler{info: info, serve: map[string]func(*session.Stream){"stubborn": func(st *session.Stream) {
		<-release
		finish(st, wire.Status{})
	}}}, release
}

func TestHandshakeFailures(t *testing.T) {
	t.Parallel()
	version := func(v uint64) []byte {
		s := wire.Settings{Version: v}
		return raw(wire.TypeSettings, 0, 0, s.Append(nil))
	}
	for name, c := range map[string]struct {
		bytes  []byte
		text   string
		goaway byte
	}{
		"another version":   {version(2), "unknown protocol version 2", wire.ReasonVersion},
		"garbage":           {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "", 0},
		"another frame":     {raw(wire.TypePing, 0, 0, make([]byte, 8)), "want a SETTINGS frame", 0},
		"refusal":           {raw(wire.TypeGoAway, 0, 0, append([]byte{wire.ReasonRefused}, "not you"...)), "not you", 0},
		"refusal, no words": {raw(wire.TypeGoAway, 0, 0, nil), "GOAWAY without a reason", 0},
		"long SETTINGS":     {wire.MakeHeader(wire.TypeSettings, 0, 0, 0xffffff).Append(nil), "over the limit", 0},
		"no streams":        {raw(wire.TypeSettings, 0, 0, []byte{1, 1, 0}), "limit of 0 streams", 0},
		"tiny window":       {settings(wire.Settings{StreamWindow: 5}), "window of 5 bytes", 0},
		"huge window":       {settings(wire.Settings{SessionWindow: 1 << 40}), "window of", 0},
		"cut":               {settings(wire.Settings{})[:5], "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := tlsconn.Pipe()
			p := &peer{TB: t, conn: b, came: make(chan struct{}, 1)}
			p.write(c.bytes)
			if name == "cut" {
				b.Close()
			}
			_, err := session.New(a, session.Config{}, patience, nil)
			if err == nil {
				t.Fatal("a session")
			}
			wantText(t, err, c.text)
			go p.read()
			if c.goaway != 0 {
				if f := p.last(wire.TypeGoAway); f.payload[0] != c.goaway {
					t.Errorf("GOAWAY %q", f.payload)
				}
			}
			for p.next().Type() != 0 {
			}
		})
	}
}

func TestNoSettingsInTime(t *testing.T) {
	t.Parallel()
	a, b := tlsconn.Pipe()
	defer b.Close()
	_, err := session.New(a, session.Config{}, time.Millisecond, nil)
	if err == nil {
		t.Fatal("a session with a peer that says nothing")
	}
	if _, err := io.ReadAll(b); err != nil && !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// A caller whose account has no room for the name of another procedure loses its
// session: the number would have no meaning afterwards.
func TestNamesWithoutRoomRefuseTheSession(t *testing.T) {
	t.Parallel()
	const room = 1000
	all := budget.New(session.Cost+room, session.Cost+room)
	s, p := serve(t, session.Config{Account: charged(t, all, "peer")})
	for n := uint32(1); n <= room/wire.MaxProcedure+1; n++ {
		p.send(wire.TypeOpen, wire.FlagEnd, n, open(n, strings.Repeat(string(rune('a'+n)), wire.MaxProcedure), nil))
	}
	f := p.last(wire.TypeGoAway)
	if f.payload[0] != wire.ReasonRefused || !strings.Contains(string(f.payload), "memory budget") {
		t.Errorf("GOAWAY %d %q", f.payload[0], f.payload[1:])
	}
	wantText(t, ended(t, s), "memory budget")
	eventually(t, func() bool { return all.Used() == 0 })
}
