package session_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/budget"
	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/tlsconn"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// live returns the bytes on the heap that are in use. What a sync.Pool holds
// survives the first collection and not the second.
func live() int64 {
	for range 3 {
		runtime.GC()
	}
	return int64(memStats().HeapAlloc)
}

// What a peer makes this side hold it must have sent, or nearly: a message that
// says it goes on is not given room for what has not come.
func TestUnfinishedMessagesTakeWhatHasCome(t *testing.T) {
	const streams = 2000
	s, p := serve(t, session.Config{})
	before := live()
	var b []byte
	for id := uint32(1); id <= streams; id++ {
		name := ""
		if id == 1 {
			name = "deaf"
		}
		b = append(b, raw(wire.TypeOpen, wire.FlagMore, id, open(1, name, []byte("x")))...)
		b = append(b, raw(wire.TypeData, wire.FlagMore, id, []byte("y"))...)
	}
	p.write(b)
	p.sync()
	if grown := live() - before; grown > 24<<20 { // a stream, its handler's stack, its context
		t.Errorf("%d MiB for %d streams with two bytes each", grown>>20, streams)
	}
	runtime.KeepAlive(s)
}

// A large message counts with the memory it has been given.
func TestLargeMessagesCountWithTheirMemory(t *testing.T) {
	t.Parallel()
	s, p := serve(t, session.Config{})
	p.send(wire.TypeOpen, 0, 1, open(1, "deaf", nil))
	p.send(wire.TypeData, wire.FlagMore, 1, make([]byte, 32<<10))
	p.sync()
	if got := s.Buffered(); got < 64<<10 {
		t.Errorf("%d bytes count, the message has 64 KiB", got)
	}
	p.send(wire.TypeReset, 0, 1, []byte{1})
	p.status(1)
	if got := s.Buffered(); got != 0 {
		t.Errorf("%d bytes count after the end", got)
	}
}

// The memory of a burst is not kept while a stream waits.
func TestIdleStreamsKeepNoQueue(t *testing.T) {
	const streams, burst = 200, 100 << 10
	s, p := serve(t, session.Config{})
	before := live()
	var b []byte
	for id := uint32(1); id <= streams; id++ {
		name := ""
		if id == 1 {
			name = "drain"
		}
		b = append(b[:0], raw(wire.TypeOpen, 0, id, open(1, name, nil))...)
		for range burst / 1000 {
			b = append(b, raw(wire.TypeData, 0, id, make([]byte, 1000))...)
		}
		p.write(b)
		p.sync()
	}
	for s.Buffered() > 0 {
		runtime.Gosched()
	}
	if grown := live() - before; grown > streams*24<<10 {
		t.Errorf("%d KiB for each idle stream", grown/streams>>10)
	}
}

// Metadata counts while its call runs.
func TestMetadataCountsAsBuffered(t *testing.T) {
	t.Parallel()
	metadata := append([]byte{1, 1, 'k', 0x90, 0x4e}, strings.Repeat("v", 10_000)...)
	o := wire.Open{Number: 1, Name: []byte("deaf"), Metadata: metadata}
	s, p := serve(t, session.Config{Account: charged(t, budget.New(512<<10, 512<<10), "peer")})
	p.send(wire.TypeOpen, 0, 1, o.Append(nil))
	p.sync()
	if got := s.Buffered(); got != int64(len(metadata)) {
		t.Errorf("%d bytes count, want %d", got, len(metadata))
	}
	o.Name = nil
	for id := uint32(2); id <= 60; id++ {
		p.send(wire.TypeOpen, 0, id, o.Append(nil))
	}
	if st := p.status(60); st.Code != 8 || !st.Unprocessed || !strings.Contains(st.Message, "memory budget") {
		t.Errorf("over the budget: %+v", st)
	}
	for id := uint32(1); id <= 60; id++ {
		p.send(wire.TypeReset, 0, id, []byte{1})
	}
	p.sync()
	for s.InFlight() > 0 || s.Buffered() > 0 {
		runtime.Gosched()
	}
}

// A session whose messages never end is refused more of them before it has used
// up what others need.
func TestUnfinishedMessagesOfOneSessionLeaveRoomForOthers(t *testing.T) { // not parallel: others look at the heap
	all := budget.New(64<<20, 64<<20)
	const window = 2 << 20 // more than a message: the peer below does not wait for credit
	greedy, p := serve(t, session.Config{Account: charged(t, all, "greedy"), SessionBuffer: 8 << 20, StreamWindow: window, MaxStreamWindow: window})
	_, other := serve(t, session.Config{Account: charged(t, all, "other"), SessionBuffer: 8 << 20})
	refused := false
	for id := uint32(1); id <= 60; id++ {
		name := ""
		if id == 1 {
			name = "drain"
		}
		p.send(wire.TypeOpen, 0, id, open(1, name, nil))
		p.sync()
		for range 32 { // 1 MiB
			p.send(wire.TypeData, wire.FlagMore, id, make([]byte, 32<<10))
		}
		for _, f := range p.sync() {
			if f.Type() == wire.TypeStatus {
				var st wire.Status
				if err := st.Parse(f.payload); err != nil || st.Code != 8 || !strings.Contains(st.Message, "unfinished messages") {
					t.Fatalf("%+v, %v", st, err)
				}
				refused = true
			}
		}
	}
	if !refused || greedy.Err() != nil {
		t.Errorf("refused %t, session %v", refused, greedy.Err())
	}
	if used := all.Used(); used > 16<<20 {
		t.Errorf("one session has %d MiB of the budget", used>>20)
	}
	other.send(wire.TypeOpen, wire.FlagEnd, 1, open(1, "echo", []byte("x")))
	if st := other.status(1); st.Code != 0 {
		t.Errorf("another session: %+v", st)
	}
}

// A response for which the caller gives no credit is given up at the deadline.
func TestAResponseWaitsForCreditUntilTheDeadline(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"small": 100, "large": 200_000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := handlers()
				h.info.Private = true
				h.serve["big"] = func(st *session.Stream) { st.Finish(make([]byte, size), true, nil) }
				h.serve["fill"] = func(st *session.Stream) { st.Finish(make([]byte, wire.MinWindow-5*wire.FrameCost), true, nil) }
				s, p := against(t, session.Config{Handler: h, KeepaliveIdle: -1},
					wire.Settings{StreamWindow: wire.MinWindow, SessionWindow: wire.MinWindow}, false)
				p.send(wire.TypeOpen, wire.FlagEnd, 1, open(1, "fill", nil)) // uses up the session's credit
				p.status(1)
				begin := time.Now()
				o := wire.Open{Number: 2, Name: []byte("big"), Deadline: uint64(10 * time.Second / time.Microsecond)}
				p.send(wire.TypeOpen, wire.FlagEnd, 2, o.Append(nil))
				if st := p.status(2); st.Code != 4 {
					t.Errorf("%+v", st)
				}
				if d := time.Since(begin); d != 10*time.Second {
					t.Errorf("given up after %v", d)
				}
				if s.InFlight() != 0 {
					t.Error("the call is in flight still")
				}
			})
		})
	}
}

// Both sides send large messages on many streams at once, more than the connection
// holds, and each side's reader has credit to write meanwhile: neither may wait
// for the other.
func TestReadersNeverWaitForEachOther(t *testing.T) { // not parallel: others look at the heap
	const streams, messages, size = 24, 6, 1 << 20
	h := handlers()
	h.serve["both"] = func(st *session.Stream) {
		var sending sync.WaitGroup
		sending.Go(func() {
			for range messages {
				if err := st.Send(make([]byte, size), false, nil); err != nil {
					t.Error(err)
				}
			}
		})
		for range messages {
			if m, err := st.Recv(nil); err != nil || len(m) != size {
				t.Errorf("%d bytes, %v", len(m), err)
			}
		}
		sending.Wait()
		finish(st, wire.Status{})
	}
	c, s := pair(t, h, session.Config{WriteTimeout: 5 * time.Second}, session.Config{WriteTimeout: 5 * time.Second})
	var calls sync.WaitGroup
	failed := make(chan error, streams)
	for range streams {
		calls.Go(func() {
			st, err := c.NewStream(&session.Request{Procedure: "both"}, nil)
			if err != nil {
				failed <- err
				return
			}
			defer st.Release()
			calls.Go(func() {
				for range messages {
					if err := st.Send(make([]byte, size), false, nil); err != nil {
						failed <- err
						return
					}
				}
			})
			for range messages {
				if _, err := st.Recv(nil); err != nil {
					failed <- fmt.Errorf("receive: %w", err)
					return
				}
			}
			for err == nil {
				_, err = st.Recv(nil)
			}
		})
	}
	calls.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}

// Metadata and outcomes that a server sends count while nobody takes them.
func TestWhatAServerSendsBesideMessagesCounts(t *testing.T) {
	t.Parallel()
	all := budget.New(1<<20, 1<<20)
	s, p := against(t, session.Config{Account: charged(t, all, "peer")}, wire.Settings{}, false)
	const n = 100
	var streams []*session.Stream
	for range n {
		st, err := s.NewStream(&session.Request{Procedure: "x"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Open(); err != nil {
			t.Fatal(err)
		}
		streams = append(streams, st)
	}
	for id := uint32(1); id <= n; id++ {
		p.send(wire.TypeHeader, 0, id, make([]byte, 20_000))
	}
	p.sync()
	if got := s.Buffered(); got < 300_000 || got > 1<<20 {
		t.Errorf("%d bytes count", got)
	}
	refused := 0
	for _, st := range streams {
		done := make(chan struct{})
		close(done)
		if _, err := st.Recv(done); err != nil && strings.Contains(err.Error(), "memory budget") {
			refused++
		}
		st.Abandon(1, session.Interrupted())
	}
	if refused < n/3 {
		t.Errorf("%d of %d streams were refused more than there is room for", refused, n)
	}
	if got := s.Buffered(); got != 0 {
		t.Errorf("%d bytes count at the end", got)
	}
}

// Answers that a caller asks for and does not read count, and cost it the session
// when it has its share.
func TestAnswersThatNobodyReadsCount(t *testing.T) {
	t.Parallel()
	all := budget.New(64<<20, 1<<20)
	near, far := tlsconn.Pipe()
	defer far.Close()
	pool := new(session.Pool)
	defer pool.Close()
	go far.Write(settings(wire.Settings{}))
	s, err := session.New(near, session.Config{Account: charged(t, all, "peer"), Handler: handlers(), Pool: pool}, patience, nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for range 1 << 20 { // the answers are never read
			if _, err := far.Write(raw(wire.TypePing, 0, 0, make([]byte, 8))); err != nil {
				return
			}
		}
	}()
	select {
	case <-s.Closed():
	case <-time.After(patience):
		t.Fatal("the session goes on")
	}
	wantText(t, s.Err(), "rpcnet.EndpointConfig.PeerMemory")
	eventually(t, func() bool { return all.Used() == 0 })
}
