package session

import (
	"io"
	"testing"
	"testing/synctest"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A crowd is many streams that send messages of 100 bytes without end, on a connection
// that takes what the buffer holds again and again.
type crowd struct {
	o    *sender
	sent []int // messages that each stream has sent; sender.mu guards it
}

const crowdMessage = 100

// newCrowd starts n streams. It runs in a bubble, and ends with the sender.
func newCrowd(n int) *crowd {
	c := &crowd{o: &sender{credit: maxCredit, writing: true}, sent: make([]int, n)}
	for i := range n {
		p := new(sending)
		p.reset(true, maxCredit)
		go func() {
			for c.o.reserve(p, crowdMessage, nil) == nil {
				c.o.buf = append(c.o.buf, make([]byte, crowdMessage)...)
				c.sent[i]++
				c.o.mu.Unlock()
			}
		}()
	}
	synctest.Wait()
	return c
}

// write takes the buffer so often, and waits until it is full again.
func (c *crowd) write(rounds int) {
	for range rounds {
		c.o.mu.Lock()
		c.o.takeBufferLocked()
		synctest.Wait()
	}
}

// Many streams that send small messages are not woken for each of them, and none of them
// is woken in vain: a turn has room for several.
func TestACrowdWaitsOnceForSeveralMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(5000)
		defer c.o.close(io.EOF)
		c.write(20)
		sent := 0
		for _, n := range c.sent {
			sent += n
		}
		if most := len(c.sent) + 2*sent*crowdMessage/leastTurn; int(c.o.lines.came) > most {
			t.Errorf("the streams have waited %d times for %d messages, want at most %d", c.o.lines.came, sent, most)
		}
	})
}

// None of many streams takes more than its turn while others wait.
func TestACrowdTakesTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(50)
		defer c.o.close(io.EOF)
		c.write(20)
		first := append([]int(nil), c.sent...)
		c.write(40) // 20 MiB: some rounds of all
		least, most := c.sent[0]-first[0], 0
		for i, n := range c.sent {
			least, most = min(least, n-first[i]), max(most, n-first[i])
		}
		if turn := mostTurn/crowdMessage + 1; most-least > 3*turn {
			t.Errorf("one stream has sent %d messages and another %d, want three turns of %d between them at most", most, least, turn)
		}
	})
}

// What a stream was woken for stays its own until it runs, however much others send
// meanwhile; and a large part is not held up by what small messages were promised.
func TestAPromiseIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newSenderBench(t, 1<<30)
		b.o.buf = make([]byte, roomSmall)
		late := map[string]*sending{}
		for name, n := range map[string]int{"small": 100, "large": part} {
			p := b.stream(name)
			p.wake, p.credit, p.at.want = make(chan struct{}, 1), 1<<20, int64(n+wire.FrameCost)
			b.o.lines.add(p)
			late[name] = p
		}
		b.write()
		b.give("greedy", 1<<30)
		for range 2 * roomSmall / (10 << 10) {
			if b.ask("greedy", 10<<10); b.stream("greedy").at.in != nil {
				break
			}
		}
		b.served = nil
		if len(b.o.buf) >= roomSmall {
			t.Fatalf("another has filled the buffer with %d bytes", len(b.o.buf))
		}
		b.o.buf = make([]byte, roomSmall) // as control frames do, which wait for nothing
		for name, p := range late {
			if len(p.wake) != 1 {
				t.Fatalf("%s was not woken", name)
			}
			<-p.wake
			b.o.wakeLocked()
			b.ask(name, int(p.at.want-wire.FrameCost))
			b.want(name)
		}
		if b.o.lines.promised.room != b.stream("greedy").at.turn {
			t.Errorf("%+v are promised though all have run", b.o.lines.promised)
		}
		b.o.close(io.EOF)
	})
}

// Leaving a line costs the same wherever one stands, and keeps the order of the others.
func TestLine(t *testing.T) {
	t.Parallel()
	var l line
	ps := make([]*sending, 6)
	for i := range ps {
		ps[i] = new(sending)
		ps[i].at.in = &l
		l.add(ps[i])
	}
	for _, i := range []int{0, 5, 2} { // the first, the last, one between
		l.remove(ps[i])
	}
	ps[0].at.in = &l
	l.add(ps[0])
	want := []*sending{ps[1], ps[3], ps[4], ps[0]}
	p := l.first
	for i, w := range want {
		if p != w {
			t.Fatalf("the line's number %d is wrong", i)
		}
		p = p.at.next
	}
	if p != nil || l.last != ps[0] || l.count != len(want) {
		t.Errorf("%d are in the line", l.count)
	}
}

// The credit that the last message of a call was given comes back if the call was cut
// before the message could be sent.
func TestCreditOfACutCallComesBack(t *testing.T) {
	t.Parallel()
	const credit = 10_000
	s := &Session{server: true, cfg: Config{}.withDefaults()}
	s.life.init()
	s.table.init(1)
	s.out = sender{credit: credit, writing: true}
	st := newStream()
	st.resetLocked(s, 1, s.table.make(1), &Request{})
	st.out.credit = credit
	st.mu.Unlock()
	msg := make([]byte, 1000)
	if err := s.out.reserve(&st.out, len(msg), nil); err != nil {
		t.Fatal(err)
	}
	s.out.mu.Unlock()
	st.mu.Lock()
	st.end.done = true
	st.mu.Unlock()
	if !st.finish(msg, true, nil, true) || s.out.credit != credit {
		t.Errorf("%d bytes of credit are left, want %d", s.out.credit, credit)
	}
}
