package session

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/budget"
	"github.com/rpcnet-go/rpcnet/internal/tlsconn"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A foreseeing pipe says when a read may wait, as connections of TLS do.
type foreseeing struct{ *tlsconn.PipeEnd }

func (foreseeing) BeforeRead(func()) {}

// An aloneBench is a caller's and a server's session, in a bubble, and handlers that tell
// whether the reader runs them.
type aloneBench struct {
	*testing.T
	caller, server *Session
	pool           Pool
	pace           Pace
	memory         *budget.Budget
	// did has, for each call, whether the reader has run its handler.
	did []bool
	// entered has a token for each handler of "wait" that waits for leave.
	entered, leave chan struct{}
	// heard has why a handler of "wait" was cancelled.
	heard chan error
}

// newAloneBench connects the two sessions; cfg is of the server.
func newAloneBench(t *testing.T, cfg Config) *aloneBench {
	b := &aloneBench{T: t, entered: make(chan struct{}, 1), leave: make(chan struct{}), heard: make(chan error, 8)}
	b.memory = budget.New(64<<20, 64<<20)
	account, err := Charge(b.memory, "peer")
	if err != nil {
		t.Fatal(err)
	}
	near, far := tlsconn.Pipe()
	made := make(chan error, 1)
	go func() {
		var err error
		cfg.Handler, cfg.Pool, cfg.Account = b, &b.pool, account
		b.server, err = New(foreseeing{far}, cfg, time.Second, nil)
		made <- err
	}()
	b.caller, err = New(near, Config{}, time.Second, nil)
	if err := errors.Join(err, <-made); err != nil {
		t.Fatal(err)
	}
	for range leastLonely {
		b.call("")
	}
	b.did = nil
	return b
}

// close ends what newAloneBench has begun.
func (b *aloneBench) close() {
	b.caller.Close()
	b.server.Close()
	b.pool.Close()
}

func (b *aloneBench) Procedure(string) ProcedureInfo {
	b.pace.doubled.Store(0) // whatever the handlers before have taken
	b.pace.quick.Store(leastQuick)
	return ProcedureInfo{Private: true, Pace: &b.pace}
}

func (b *aloneBench) Serve(st *Stream) {
	b.did = append(b.did, b.server.reading.lone.Load()%2 == 1)
	st.OnCancel(b)
	msg, _ := st.Recv(nil)
	switch string(msg) {
	case "wait":
		b.entered <- struct{}{}
		<-b.leave
	case "exit":
		runtime.Goexit()
	}
	st.Finish(msg, true, nil)
}

// Cancel hears of the end of a handler's call.
func (b *aloneBench) Cancel(cause error) { b.heard <- cause }

// call makes a call, and returns the code of its status.
func (b *aloneBench) call(msg string) byte {
	b.Helper()
	st, err := b.caller.Call(&Request{Procedure: "p"}, []byte(msg), nil, true)
	if err != nil {
		b.Error(err)
		return 0
	}
	defer st.Release()
	s, err := st.Status()
	if got, _ := st.Recv(nil); err != nil || s.Code == 0 && string(got) != msg {
		b.Errorf("the response to %q is %q, %v", msg, got, err)
	}
	return s.Code
}

// A call that is alone on its session is served by the reader, if its handlers are quick.
func TestReaderServesACallThatIsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newAloneBench(t, Config{})
		defer b.close()
		for range 3 {
			b.call("quick")
		}
		if len(b.did) != 3 || !b.did[0] || !b.did[1] || !b.did[2] {
			t.Errorf("the reader has run handlers %v", b.did)
		}
	})
}

// A handler that waits on the reader holds up other calls, and its own cancellation, for
// two ticks at most; then the session goes on as before.
func TestHandlerThatWaitsOnTheReaderIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newAloneBench(t, Config{})
		defer b.close()
		for range 3 { // each time another goroutine reads on
			b.did = nil
			done := make(chan struct{})
			gone := make(chan error)
			go func() {
				_, err := b.caller.Call(&Request{Procedure: "p"}, []byte("wait"), done, true)
				gone <- err
			}()
			<-b.entered
			begin := time.Now()
			b.call("other")
			if d := time.Since(begin); d > 2*fastTick {
				t.Errorf("another call has waited for %v", d)
			}
			if len(b.did) != 2 || !b.did[0] || b.did[1] {
				t.Errorf("the reader has run handlers %v, want the first only", b.did)
			}
			close(done)
			if err := <-gone; !IsInterrupted(err) {
				t.Error(err)
			}
			if err := <-b.heard; err != ErrCanceled {
				t.Errorf("the handler hears of %v", err)
			}
			b.leave <- struct{}{}
			synctest.Wait() // it has ended
			for range leastLonely {
				b.call("")
			}
		}
		if !b.did[len(b.did)-1] {
			t.Error("the reader runs no handlers any more")
		}
	})
}

// The end of a session does not wait for the handler that the reader runs.
func TestSessionEndsWithoutTheHandlerOnItsReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newAloneBench(t, Config{})
		gone := make(chan error)
		go func() {
			_, err := b.caller.Call(&Request{Procedure: "p"}, []byte("wait"), nil, true)
			gone <- err
		}()
		<-b.entered
		b.close()
		if err := <-gone; err == nil {
			t.Error("the call has not failed")
		}
		synctest.Wait()
		if n := b.memory.Used(); n != 0 {
			t.Errorf("%d bytes are in use after the end", n)
		}
		b.leave <- struct{}{}
	})
}

// A handler that ends the reader's goroutine ends its call, and not the session.
func TestHandlerMayEndTheReadersGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newAloneBench(t, Config{})
		defer b.close()
		for range 3 {
			b.did = nil
			if code := b.call("exit"); code != wire.CodeInternal || !b.did[0] {
				t.Errorf("code %d; the reader has run the handler: %v", code, b.did)
			}
			begin := time.Now()
			for range leastLonely {
				b.call("")
			}
			if d := time.Since(begin); d > 0 {
				t.Errorf("the next calls have waited for %v", d)
			}
		}
	})
}

// A caller that is alone and reads for itself has credit for a request of one part, however
// small the windows are: while it waited for credit nothing would read it.
func TestCallerThatReadsForItselfHasCredit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newAloneBench(t, Config{StreamWindow: wire.MinWindow, SessionWindow: wire.MinWindow})
		defer b.close()
		msg := strings.Repeat("x", part)
		begin := time.Now()
		for range 50 {
			st, err := b.caller.Call(&Request{Procedure: "p"}, []byte(msg), nil, false)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := st.Recv(nil); string(got) != msg {
				t.Errorf("a response of %d bytes, %v", len(got), err)
			}
			st.Release()
		}
		if d := time.Since(begin); d > 0 {
			t.Errorf("50 calls have taken %v", d)
		}
	})
}

func TestPace(t *testing.T) {
	t.Parallel()
	var p *Pace
	if p.Quick() {
		t.Error("no Pace is quick")
	}
	p = new(Pace)
	took := func(n int, d time.Duration) {
		for range n {
			p.took(d)
		}
	}
	for i, step := range []struct {
		n    int
		took time.Duration
		want bool
	}{
		{leastQuick - 1, 0, false},
		{1, quickHandler, true},
		{1, quickHandler + 1, false}, // one in between, and it begins anew
		{leastQuick, 0, true},
		{1, slowHandler, false},
		{2*leastQuick - 1, 0, false}, // twice as many
		{1, 0, true},
		{50, time.Hour, false},
		{mostQuick - 1, 0, false}, // no more than that
		{1, 0, true},
		{20 * mostQuick, 0, true},
		{1, quickHandler + 1, false},
		{leastQuick, 0, true}, // forgiven
	} {
		if took(step.n, step.took); p.Quick() != step.want {
			t.Fatalf("step %d: Quick is %t", i+1, !step.want)
		}
	}
}
