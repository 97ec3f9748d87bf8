package session

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// Messages leave a queue in order and as they came, small ones and large ones, and
// with their credit; what counts as held is the sum of what each counts.
func TestQueue(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	var q queue
	var c cursor
	c.reset(100)
	for round := range 50 {
		var want [][]byte
		var held int64
		for range rng.IntN(20) {
			m := bytes.Repeat([]byte{byte(rng.Int())}, rng.IntN(300))
			want = append(want, m)
			if rng.IntN(3) > 0 {
				held += q.push(m)
				continue
			}
			held += 1000
			q.pushBig(bigMessage{m, 77, 1000})
		}
		if q.held() != held || q.empty() != (len(want) == 0) {
			t.Fatalf("round %d: %d bytes are held, want %d; empty %t", round, q.held(), held, q.empty())
		}
		c.swap(&q)
		for i, m := range want {
			got, cost := c.next()
			if !bytes.Equal(got, m) || cost != 77 && cost != int64(len(m)+wire.FrameCost) {
				t.Fatalf("round %d, message %d: %d bytes that cost %d", round, i, len(got), cost)
			}
		}
		if c.more() || !q.empty() {
			t.Fatalf("round %d: the queue is not empty", round)
		}
	}
}

// A burst leaves no large memory behind when it has been used up.
func TestQueueDropsItsMemory(t *testing.T) {
	t.Parallel()
	var q queue
	var c cursor
	for range 2 {
		for range 100 {
			q.push(make([]byte, 1000))
		}
		c.swap(&q)
		for c.more() {
			c.next()
		}
	}
	if cap(c.b) < 100_000 || cap(q.b) < 100_000 {
		t.Fatalf("queue of %d and cursor of %d bytes", cap(q.b), cap(c.b))
	}
	q.drop()
	c.drop()
	if cap(c.b)+cap(q.b) > 0 || c.more() {
		t.Errorf("queue of %d and cursor of %d bytes afterwards", cap(q.b), cap(c.b))
	}
	q.push([]byte("x"))
	c.swap(&q)
	if m, _ := c.next(); string(m) != "x" {
		t.Errorf("then %q", m)
	}
}

// A large message counts with its room, whatever its parts are, and its room is
// never more than four times what has come, or 64 KiB.
func TestPartialCountsItsRoom(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		var p partial
		var want []byte
		var held int64
		for parts := 1 + rng.IntN(40); parts > 0; parts-- {
			n := rng.IntN(wire.MaxChunk + 1)
			if rng.IntN(2) == 0 {
				n = rng.IntN(100)
			}
			more := parts > 1
			charge := p.charge(n, more)
			dst := p.extend(n, charge, more)
			if len(dst) != n {
				t.Fatalf("room of %d bytes for a part of %d", len(dst), n)
			}
			for i := range dst {
				dst[i] = byte(rng.Int())
			}
			want = append(want, dst...)
			held += charge
			if p.held != held || p.held != int64(cap(p.b))+perMessage {
				t.Fatalf("%d bytes are held, %d charged, the room is %d", p.held, held, cap(p.b))
			}
			if cap(p.b) > max(4*len(p.b), 64<<10) {
				t.Fatalf("a room of %d bytes for %d", cap(p.b), len(p.b))
			}
		}
		if !bytes.Equal(p.b, want) {
			t.Fatal("the message is not what came")
		}
		if p.drop() != held || p.coming || p.b != nil {
			t.Fatalf("%+v afterwards", p)
		}
	}
}
