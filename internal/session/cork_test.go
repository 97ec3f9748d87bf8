package session

import (
	"slices"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A recorder is a connection that takes every write at once, and notes its size.
type recorder struct{ writes []int }

func (r *recorder) WriteSome(a, b []byte) (done bool, err error) {
	r.writes = append(r.writes, len(a)+len(b))
	return true, nil
}

func (r *recorder) Flush() error { return nil }

// newCork returns a cork whose sender writes to the recorder.
func newCork(t *testing.T) (*cork, *recorder) {
	t.Helper()
	r := new(recorder)
	o := &sender{some: r, kick: make(chan struct{}, 1)}
	return &cork{out: o, life: newLifetime(), woken: new(wakeups)}, r
}

// What is sent while the cork is in goes in one write when it is pulled.
func TestCork(t *testing.T) {
	t.Parallel()
	c, r := newCork(t)
	c.put()
	const frame = wire.HeaderLen + 8
	for range 3 {
		c.out.now(wire.MakeHeader(wire.TypePong, 0, 0, 8), make([]byte, 8))
	}
	if !c.in || len(r.writes) != 0 {
		t.Errorf("in %t, writes of %v bytes before the cork is pulled", c.in, r.writes)
	}
	c.pull()
	c.pull() // of a cork that is out it does nothing
	if c.in || !slices.Equal(r.writes, []int{3 * frame}) || c.out.unsent() {
		t.Errorf("in %t, writes of %v bytes, unsent %t", c.in, r.writes, c.out.unsent())
	}
	c.out.now(wire.MakeHeader(wire.TypePong, 0, 0, 8), make([]byte, 8))
	if !slices.Equal(r.writes, []int{3 * frame, frame}) {
		t.Errorf("writes of %v bytes: the role was not given back", r.writes)
	}
}

// A cork does not go in while another goroutine writes, and is not pulled then.
func TestCorkLeavesTheRoleToItsHolder(t *testing.T) {
	t.Parallel()
	c, r := newCork(t)
	if !c.out.tryLead() {
		t.Fatal("the writing role is taken")
	}
	c.put()
	c.out.control(wire.MakeHeader(wire.TypePong, 0, 0, 8), make([]byte, 8))
	c.pull()
	if c.in || len(r.writes) != 0 || !c.out.unsent() {
		t.Errorf("in %t, writes of %v bytes, unsent %t", c.in, r.writes, c.out.unsent())
	}
	c.out.flush(flushNow) // as the holder does
	if len(r.writes) != 1 || c.out.unsent() {
		t.Errorf("writes of %v bytes, unsent %t", r.writes, c.out.unsent())
	}
}

// A caller's reader writes as soon as a sixteenth of the calls in flight waits to be
// written; a server's at the end of each record.
func TestCorkIsPulledWhenEnoughWaits(t *testing.T) {
	t.Parallel()
	c, _ := newCork(t)
	c.life.inflight.Store(100)
	for calls, want := range map[int64]bool{0: false, 6: false, 7: true} {
		c.out.calls = calls
		if got := c.enough(); got != want {
			t.Errorf("%d of 100 calls are enough: %t", calls, got)
		}
	}
	c.out.calls, c.always = 0, true
	if !c.enough() {
		t.Error("a server waits for more")
	}
}

// The reader waits for what it has woken, but not for ever.
func TestWakeupsAreWaitedForALittle(t *testing.T) {
	t.Parallel()
	var w wakeups
	w.letRun()
	w.n.Add(1)
	go w.n.Add(-1)
	w.letRun()
	w.n.Add(1 << 20) // they never run
	w.letRun()
}

// Frames that wait while large messages are written do not wait for the peer: what
// the connection does not take at once is the writer goroutine's.
func TestFlushLeavesARestToTheWriterGoroutine(t *testing.T) {
	t.Parallel()
	c, _ := newCork(t)
	c.out.some = busyConn{}
	c.out.now(wire.MakeHeader(wire.TypePong, 0, 0, 8), make([]byte, 8))
	if len(c.out.kick) != 1 || !c.out.writing {
		t.Errorf("%d kicks, writing %t", len(c.out.kick), c.out.writing)
	}
}

// A busyConn takes a part of each write at once.
type busyConn struct{}

func (busyConn) WriteSome(a, b []byte) (done bool, err error) { return false, nil }
func (busyConn) Flush() error                                 { return nil }

// A reader goroutine that parks is woken once, whoever wants it and how often.
func TestReadingWakesTheReaderOnce(t *testing.T) {
	t.Parallel()
	var r reading
	r.init()
	r.want() // it reads
	if len(r.wake) != 0 {
		t.Error("a reader that reads was woken")
	}
	r.parked.Store(true)
	for range 3 {
		r.want()
	}
	if len(r.wake) != 1 || r.parked.Load() {
		t.Errorf("%d tokens, parked %t", len(r.wake), r.parked.Load())
	}
	r.unpark() // the end of the session
	if len(r.wake) != 1 {
		t.Errorf("%d tokens", len(r.wake))
	}
	if !r.role.tryLock() || r.role.tryLock() {
		t.Error("the role has no holder, or two")
	}
	r.role.unlock()
	r.role.lock()
}
