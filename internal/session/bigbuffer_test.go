package session_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// patterned returns a message of n bytes that tells when a byte of it has changed.
func patterned(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = patternAt(i, n, seed)
	}
	return b
}

// patternAt is byte i of a message of n bytes. The first byte is the seed, and no
// long run of a message has the same byte.
func patternAt(i, n int, seed byte) byte {
	if i == 0 {
		return seed
	}
	return seed ^ byte(i*7) ^ byte(i>>8) ^ byte(n)
}

// checkPatterned returns what is wrong with a message that patterned has made.
func checkPatterned(b []byte) error {
	for i, v := range b {
		if want := patternAt(i, len(b), b[0]); v != want {
			return fmt.Errorf("byte %d of %d is %#x, want %#x", i, len(b), v, want)
		}
	}
	return nil
}

// checkTwice checks a message before and after other goroutines have run.
func checkTwice(b []byte) error {
	if err := checkPatterned(b); err != nil {
		return err
	}
	for range 4 {
		runtime.Gosched()
	}
	return checkPatterned(b)
}

// randomSize returns 1 B to 256 KiB: one of four is large, and of the others each power
// of two is as likely as the next.
func randomSize(rng *rand.Rand) int {
	if rng.IntN(4) == 0 {
		return 32<<10 + rng.IntN(224<<10)
	}
	return 1 + rng.IntN(1<<rng.IntN(19))
}

// aliasing returns handlers that give what they receive to Send and Finish, and report
// messages that have changed.
func aliasing(report func(error)) *handler {
	received := func(m []byte) {
		if err := checkTwice(m); err != nil {
			report(fmt.Errorf("handler: %w", err))
		}
	}
	one := func(st *session.Stream) {
		m, err := st.Recv(nil)
		if err != nil {
			finish(st, wire.Status{Code: 2, Message: err.Error()})
			return
		}
		received(m)
		pooled := st.Pooled()
		st.Finish(m, true, nil)
		if !pooled {
			st.EndReceive()
		}
	}
	return &handler{info: session.ProcedureInfo{Private: true}, serve: map[string]func(*session.Stream){
		"echo": one, "inline": one,
		"stream": func(st *session.Stream) {
			for {
				m, err := st.Recv(nil)
				if err != nil {
					break
				}
				received(m)
				if st.Send(m, false, nil) != nil {
					break
				}
			}
			finish(st, wire.Status{})
		},
		// leaves a goroutine behind that receives while the call ends and after it
		"behind": func(st *session.Stream) {
			if st.Pooled() {
				finish(st, wire.Status{}) // nothing may use it after Finish
				return
			}
			first := make(chan struct{})
			go func() {
				var once sync.Once
				for {
					m, err := st.Recv(nil)
					once.Do(func() { close(first) })
					if err != nil {
						return
					}
					received(m)
				}
			}()
			<-first
			finish(st, wire.Status{})
		},
	}}
}

// No goroutine reads or writes a buffer after it was given back, and none is given
// back twice, whoever ends a call, and when: the buffers are poisoned (poison_test.go),
// and every message is checked by who receives it.
func TestBuffersGoBackAfterTheirLastReader(t *testing.T) {
	t.Parallel()
	report := func(err error) { t.Error(err) }
	c, _ := pair(t, aliasing(report), session.Config{}, session.Config{})
	const callers = 24
	rounds := 60
	if testing.Short() {
		rounds = 20
	}
	var wg sync.WaitGroup
	var whole atomic.Int64
	for i := range callers {
		wg.Go(func() {
			x := exerciser{t: t, c: c, rng: rand.New(rand.NewPCG(uint64(i), 7)), whole: &whole}
			for range rounds {
				x.one()
			}
		})
	}
	wg.Wait()
	if n := whole.Load(); n < callers*int64(rounds)/8 {
		t.Errorf("%d of %d calls came to their end: the others test less", n, callers*rounds)
	}
}

// An exerciser makes random calls and checks what comes.
type exerciser struct {
	t     *testing.T
	c     *session.Session
	rng   *rand.Rand
	whole *atomic.Int64 // calls that were not given up
}

// one makes a call of any kind.
func (x *exerciser) one() {
	seed := byte(x.rng.Int())
	switch x.rng.IntN(4) {
	case 0:
		x.unary("echo", patterned(randomSize(x.rng), seed))
	case 1:
		x.unary("inline", patterned(randomSize(x.rng), seed))
	case 2:
		x.stream("stream", 1+x.rng.IntN(12))
	default:
		x.stream("behind", 1+x.rng.IntN(4))
	}
}

// unary makes a unary call, which is interrupted, is late, or comes to its end.
func (x *exerciser) unary(procedure string, in []byte) {
	r := &session.Request{Procedure: procedure}
	var done chan struct{}
	switch x.rng.IntN(4) {
	case 0:
		done = make(chan struct{})
		time.AfterFunc(time.Duration(x.rng.IntN(2000))*time.Microsecond, func() { close(done) })
	case 1:
		late := time.Duration(1+x.rng.IntN(2000)) * time.Microsecond
		r.Timeout, r.Deadline = uint64(late/time.Microsecond), time.Now().Add(late)
	}
	st, err := x.c.Call(r, in, done, x.rng.IntN(2) == 0)
	if err != nil {
		if !session.IsInterrupted(err) {
			x.t.Errorf("%s of %d bytes: %v", procedure, len(in), err)
		}
		return
	}
	defer st.Release()
	status, err := st.Status()
	if err != nil || status.Code != 0 {
		if r.Deadline.IsZero() {
			x.t.Errorf("%s of %d bytes: %v, %v", procedure, len(in), status, err)
		}
		return
	}
	var out []byte
	if x.rng.IntN(2) == 0 {
		out, err = st.RecvOwned()
	} else {
		out, err = st.Recv(nil)
	}
	if err == nil {
		err = checkTwice(out)
	}
	if err != nil || len(out) != len(in) || out[0] != in[0] {
		x.t.Errorf("%s of %d bytes: %d bytes, %v", procedure, len(in), len(out), err)
		return
	}
	x.whole.Add(1)
}

// stream sends n messages and receives what comes, and gives the call up in the
// midst of it, at its end or not.
func (x *exerciser) stream(procedure string, n int) {
	st, err := x.c.NewStream(&session.Request{Procedure: procedure}, nil)
	if err != nil {
		x.t.Error(err)
		return
	}
	giveUp := func() { st.Abandon(wire.CodeCanceled, session.Interrupted()) }
	if x.rng.IntN(2) == 0 {
		defer time.AfterFunc(time.Duration(x.rng.IntN(3000))*time.Microsecond, giveUp).Stop()
	}
	messages := make([][]byte, n)
	for i := range messages {
		messages[i] = patterned(randomSize(x.rng), byte(x.rng.Int()))
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i, m := range messages {
			if st.Send(m, i == n-1, nil) != nil {
				return
			}
		}
	}()
	got := 0
	for ; ; got++ {
		m, err := st.Recv(nil)
		if err != nil {
			break
		}
		if x.rng.IntN(6) == 0 { // while the message is in use
			go giveUp()
		}
		if err := checkTwice(m); err != nil {
			x.t.Errorf("%s: message %d of %d: %v", procedure, got, n, err)
		}
	}
	giveUp()
	<-sent
	if procedure != "stream" || got == n {
		x.whole.Add(1)
	}
}
