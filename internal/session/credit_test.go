package session

import (
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A senderBench has a sender without a connection, and streams that ask it for credit.
// It runs in a bubble.
type senderBench struct {
	*testing.T
	o       *sender
	streams map[string]*sending
	done    map[string]chan struct{}
	served  []string // streams whose reserve has returned, with their errors
}

// newSenderBench returns a sender with credit bytes for the session and none for
// streams.
func newSenderBench(t *testing.T, credit int64) *senderBench {
	return &senderBench{T: t, o: &sender{credit: credit, writing: true}, streams: map[string]*sending{}, done: map[string]chan struct{}{}}
}

func (b *senderBench) stream(name string) *sending {
	p := b.streams[name]
	if p == nil {
		p = new(sending)
		p.reset(true, 0)
		b.streams[name] = p
	}
	return p
}

// give gives credit to a stream, or to the session if name is empty.
func (b *senderBench) give(name string, n int64) {
	b.Helper()
	var p *sending
	if name != "" {
		p = b.stream(name)
	}
	if err := b.o.addCredit(p, n); err != nil {
		b.Error(err)
	}
	synctest.Wait()
}

// ask has a stream send a message of n bytes.
func (b *senderBench) ask(name string, n int) {
	done := make(chan struct{})
	b.done[name] = done
	p := b.stream(name)
	go func() {
		err := b.o.reserve(p, n, done)
		if err != nil {
			b.o.mu.Lock()
			b.served = append(b.served, name+": "+err.Error())
		} else {
			b.o.buf = append(b.o.buf, make([]byte, n)...)
			b.served = append(b.served, name)
		}
		b.o.mu.Unlock()
	}()
	synctest.Wait()
}

// write takes the buffer as the holder of the writing role does.
func (b *senderBench) write() {
	b.o.mu.Lock()
	b.o.takeBufferLocked()
	synctest.Wait()
}

// want compares who has been served since the last want, in order.
func (b *senderBench) want(served ...string) {
	b.Helper()
	b.o.mu.Lock()
	defer b.o.mu.Unlock()
	if !slices.Equal(b.served, served) {
		b.Errorf("served %q, want %q", b.served, served)
	}
	b.served = nil
	if p := b.o; p.credit < 0 {
		b.Errorf("the session's credit is %d", p.credit)
	}
	for name, p := range b.streams {
		if p.credit < 0 {
			b.Errorf("the credit of %s is %d", name, p.credit)
		}
	}
}

func TestSendersWaitForCreditAndRoom(t *testing.T) {
	t.Parallel()
	const cost = 100 + wire.FrameCost // of a message of 100 bytes
	for name, scenario := range map[string]struct {
		credit int64 // of the session
		run    func(b *senderBench)
	}{
		"a stream waits for its own credit": {1 << 20, func(b *senderBench) {
			b.give("a", cost-1)
			b.ask("a", 100)
			b.want()
			b.give("b", 10*cost)
			b.want()
			b.give("a", 1)
			b.want("a")
			if b.o.credit != 1<<20-cost || b.stream("a").credit != 0 {
				b.Errorf("%d and %d bytes of credit are left", b.o.credit, b.stream("a").credit)
			}
		}},
		"the session's credit goes to those who wait, in order": {0, func(b *senderBench) {
			for _, s := range []string{"a", "b", "c"} {
				b.give(s, 1<<20)
				b.ask(s, 100)
			}
			b.give("", 2*cost)
			slices.Sort(b.served) // both run now, in any order
			b.want("a", "b")
			b.give("", cost)
			b.want("c")
		}},
		"one that lacks credit of its own holds up no other": {0, func(b *senderBench) {
			b.ask("poor", 100)
			b.give("b", cost)
			b.ask("b", 100)
			b.give("", 2*cost)
			b.want("b")
			b.give("poor", cost)
			b.want("poor")
		}},
		"an empty message costs credit": {wire.FrameCost, func(b *senderBench) {
			b.give("a", 1<<20)
			b.ask("a", 0)
			b.ask("a", 0)
			b.want("a")
			b.give("", wire.FrameCost)
			b.want("a")
		}},
		"a full buffer holds up large parts sooner than small messages": {1 << 30, func(b *senderBench) {
			for _, s := range []string{"large", "larger", "small"} {
				b.give(s, 1<<20)
			}
			b.ask("large", part)
			b.want("large")
			b.ask("larger", part)
			b.want()
			b.ask("small", 100)
			b.want("small")
			b.write()
			b.want("larger")
		}},
		"large parts take turns": {1 << 30, func(b *senderBench) {
			for _, s := range []string{"a", "b", "c"} {
				b.give(s, 1<<20)
				b.ask(s, part)
			}
			b.want("a")
			b.ask("a", part) // behind b and c
			for _, next := range []string{"b", "c", "a"} {
				b.write()
				b.want(next)
			}
		}},
		"what one that gives up was woken for goes to the next": {0, func(b *senderBench) {
			for _, s := range []string{"a", "b"} {
				b.give(s, cost)
				b.ask(s, 100)
			}
			close(b.done["a"])
			synctest.Wait()
			b.want("a: interrupted")
			b.give("", cost)
			b.want("b")
			if n := b.o.blocked(); n != 0 {
				b.Errorf("%d are in the line", n)
			}
		}},
		"and so if it gives up at the moment it is woken": {0, func(b *senderBench) {
			for range 20 { // it sees either first
				for _, s := range []string{"a", "b"} {
					b.give(s, cost-b.stream(s).credit)
					b.ask(s, 100)
				}
				close(b.done["a"])
				b.o.addCredit(nil, cost)
				synctest.Wait()
				if n := len(b.served); n == 0 || b.served[n-1] != "a" && b.served[n-1] != "b" {
					b.Fatalf("served %q: the credit is lost", b.served)
				}
				b.o.stop(b.stream("b"), io.EOF)
				synctest.Wait()
				b.stream("b").reset(true, 0)
				b.served = nil
			}
		}},
		"a large part does not pass one that can go on": {1 << 30, func(b *senderBench) {
			first := b.stream("first")
			b.give("first", 1<<20)
			b.give("second", 1<<20)
			first.wake, first.at.want = make(chan struct{}, 1), part+wire.FrameCost
			b.o.lines.add(first) // it has not been woken yet
			b.ask("second", part)
			b.want()
			if len(first.wake) != 1 || b.o.blocked() != 1 {
				b.Error("the first was not woken, or the second does not wait")
			}
			b.o.close(io.EOF)
		}},
		"a stream that is stopped fails, now and later": {0, func(b *senderBench) {
			b.ask("a", 100)
			b.o.stop(b.stream("a"), io.EOF)
			b.o.stop(b.stream("a"), errors.New("another reason"))
			synctest.Wait()
			b.want("a: EOF")
			b.ask("a", 100)
			b.want("a: EOF")
		}},
		"the end of the session wakes all": {0, func(b *senderBench) {
			b.ask("a", 100)
			b.ask("b", 100)
			b.o.close(errors.New("cut"))
			synctest.Wait()
			slices.Sort(b.served)
			b.want("a: connection lost: cut", "b: connection lost: cut")
			b.ask("a", 100)
			b.want("a: connection lost: cut")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { scenario.run(newSenderBench(t, scenario.credit)) })
		})
	}
}

// A call that was never opened when its session ends was seen by no handler.
func TestACallThatWasNotOpenedIsUnprocessed(t *testing.T) {
	t.Parallel()
	for _, opened := range []bool{false, true} {
		o, p := new(sender), new(sending)
		p.reset(opened, 1<<20)
		o.close(errors.New("cut"))
		var e *Error
		if err := o.reserve(p, 1, nil); !errors.As(err, &e) || e.Unprocessed == opened {
			t.Errorf("opened %t: %+v", opened, e)
		}
	}
}

func TestCreditHasALimit(t *testing.T) {
	t.Parallel()
	for _, p := range []*sending{nil, new(sending)} {
		o := new(sender)
		if err := o.addCredit(p, maxCredit); err != nil {
			t.Error(err)
		}
		if err := o.addCredit(p, 1); err != errCredit {
			t.Errorf("%v", err)
		}
	}
}

// Who writes a message of a stream: its sender while it sends now and then, the
// writer goroutine when one follows another.
func TestFlushModeOfStreams(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		recent         bool // a message has just found no writer
		joined, turned bool
		want           flushMode
	}{
		"now and then":                  {false, false, false, flushNow},
		"one after another":             {true, false, false, flushAsync},
		"another has joined a write":    {false, true, false, flushAsync},
		"an answer to a message":        {true, false, true, flushNow},
		"an answer that joined a write": {true, true, true, flushNow},
	} {
		var p sending
		p.reset(true, 0)
		p.lastLead = nanotime() - int64(time.Second)
		if c.recent {
			p.lastLead = nanotime() + int64(time.Hour) // so that streamPause does not pass on a slow machine
		}
		p.joined = c.joined
		p.turned.Store(c.turned)
		if got := p.flushMode(); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		if p.joined {
			t.Errorf("%s: joined counts twice", name)
		}
	}
}
