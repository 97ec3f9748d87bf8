package session_test

import (
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/budget"
	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// Once a call has ended its id is another call's: whatever its handler still
// does must not send frames with it.
func TestNothingIsSentOnAStreamAfterItsStatus(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*peer){
		"the caller gives up": func(p *peer) { p.send(wire.TypeReset, 0, 1, []byte{1}) },
		"the server cuts":     func(p *peer) { p.send(wire.TypeData, 0, 1, make([]byte, 2000)) },
	} {
		t.Run(name, func(t *testing.T) {
			came, received, over, sent := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
			h := handlers()
			h.info.MaxReceive = 1000
			h.serve["slow"] = func(st *session.Stream) {
				<-came
				if _, err := st.Recv(nil); err != nil { // takes all that has come
					t.Error(err)
				}
				close(received)
				<-over
				for { // and returns credit as it is used
					if _, err := st.Recv(nil); err != nil {
						break
					}
				}
				st.SendHeader([]byte{1, 'k', 0})
				if err := st.Send([]byte("late"), false, nil); err == nil {
					t.Error("Send works after the end of the call")
				}
				st.Finish([]byte("late"), true, nil)
				close(sent)
			}
			s, p := serve(t, session.Config{Handler: h})
			var b []byte
			for range 200 {
				b = append(b, raw(wire.TypeData, 0, 1, make([]byte, 1000))...)
			}
			p.write(append(raw(wire.TypeOpen, 0, 1, open(1, "slow", nil)), b...))
			p.sync()
			close(came)
			<-received
			end(p)
			frames := p.sync()
			close(over)
			<-sent
			frames = append(frames, p.sync()...)
			if len(frames) == 0 || frames[0].Type() != wire.TypeStatus {
				t.Fatalf("want STATUS, got %v", frames)
			}
			for _, f := range frames[1:] {
				if f.ID() == 1 {
					t.Errorf("a %v frame after STATUS", f.Type())
				}
			}
			if s.Buffered() != 0 {
				t.Errorf("%d bytes buffered", s.Buffered())
			}
		})
	}
}

// A truncated response is not a complete one.
func TestStatusInTheMidstOfAMessageIsNotACleanEnd(t *testing.T) {
	t.Parallel()
	s, p := against(t, session.Config{}, wire.Settings{}, false)
	st, err := s.NewStream(&session.Request{Procedure: "x"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.CloseSend(); err != nil {
		t.Fatal(err)
	}
	p.last(wire.TypeOpen)
	p.send(wire.TypeData, 0, 1, []byte("whole"))
	p.send(wire.TypeData, wire.FlagMore, 1, []byte("half"))
	p.send(wire.TypeStatus, 0, 1, nil)
	if m, err := st.Recv(nil); err != nil || string(m) != "whole" {
		t.Errorf("%q, %v", m, err)
	}
	if m, err := st.Recv(nil); err != io.EOF {
		t.Errorf("%q, %v", m, err)
	}
	status, err := st.Status()
	if err != nil || status.Code != 13 {
		t.Errorf("status %+v, %v", status, err)
	}
	if s.Buffered() != 0 {
		t.Errorf("%d bytes buffered", s.Buffered())
	}
}

// A message of which one part found no room in time is over: nothing that
// follows may be taken for its rest.
func TestNothingFollowsHalfAMessage(t *testing.T) {
	t.Parallel()
	a, p := against(t, session.Config{}, wire.Settings{StreamWindow: wire.MinWindow}, false)
	st, err := a.NewStream(&session.Request{Procedure: "x"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	sent := make(chan error)
	go func() { sent <- st.Send(make([]byte, 1<<20), false, done) }()
	got := 0
	for got < 3*32<<10 { // as much as the window holds
		f := p.next()
		got += f.Len()
	}
	close(done)
	if err := <-sent; !session.IsInterrupted(err) {
		t.Errorf("Send: %v", err)
	}
	p.send(wire.TypeCredit, 0, 1, credit(1<<20))
	p.sync()
	if err := st.Send([]byte("x"), false, nil); err == nil {
		t.Error("Send works after half a message")
	}
	st.Abandon(1, errors.New("given up"))
	if f := p.next(); f.Type() != wire.TypeReset {
		t.Errorf("after half a message: %v", f.Type())
	}
}

// What one session has reserved of the endpoint's budget is not lost to others
// when it is idle.
func TestBudgetComesBack(t *testing.T) {
	t.Parallel()
	all := budget.New(64<<20, 64<<20)
	c, s := pair(t, handlers(), session.Config{}, session.Config{Account: charged(t, all, "peer"), StreamWindow: 16 << 20, SessionWindow: 32 << 20})
	st, err := c.NewStream(&session.Request{Procedure: "deaf"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 250 {
		if err := st.Send(make([]byte, 60_000), false, nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() bool { return s.Buffered() > 250*60_000 })
	if all.Used() < s.Buffered() {
		t.Errorf("%d bytes are buffered and %d reserved", s.Buffered(), all.Used())
	}
	st.Abandon(1, errors.New("enough"))
	eventually(t, func() bool { return s.Buffered() == 0 })
	if used := all.Used(); used > 1<<20 {
		t.Errorf("an idle session keeps %d bytes of the budget", used)
	}
	s.Close()
	eventually(t, func() bool { return all.Used() == 0 })
}

func TestBudgetRefusesOneCallAndNotTheSession(t *testing.T) {
	t.Parallel()
	all := budget.New(1<<20, 1<<20)
	c, s := pair(t, handlers(), session.Config{}, session.Config{Account: charged(t, all, "peer"), StreamWindow: 4 << 20, SessionWindow: 32 << 20})
	st, err := c.NewStream(&session.Request{Procedure: "deaf"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		err = st.Send(make([]byte, 60_000), false, nil)
	}
	if err != io.EOF {
		t.Errorf("Send: %v", err)
	}
	if _, err := st.Recv(nil); err != io.EOF {
		t.Errorf("Recv: %v", err)
	}
	status, err := st.Status()
	if err != nil || status.Code != 8 {
		t.Errorf("%+v, %v", status, err)
	}
	wantText(t, errors.New(status.Message), "memory budget")
	call(t, c, "echo")
	if s.Err() != nil || s.Buffered() != 0 {
		t.Errorf("the session: %v, %d bytes buffered", s.Err(), s.Buffered())
	}
}

// call makes an echo call that must succeed.
func call(t testing.TB, c *session.Session, procedure string) {
	t.Helper()
	st, err := c.Call(&session.Request{Procedure: procedure}, []byte("x"), nil, false)
	if err != nil {
		t.Error(err)
		return
	}
	defer st.Release()
	if m, err := st.Recv(nil); err != nil || string(m) != "x" {
		t.Errorf("%s: %q, %v", procedure, m, err)
	}
}

func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to pass")
		}
	}
}

// The credit a sender was woken for and did not use is the next one's.
func TestCreditOfASenderThatGaveUpIsNotLost(t *testing.T) {
	t.Parallel()
	for range 200 {
		func() {
			s, p := against(t, session.Config{}, wire.Settings{StreamWindow: 1 << 20, SessionWindow: wire.MinWindow}, false)
			defer s.Close()
			a, err := s.NewStream(&session.Request{Procedure: "a"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			b, err := s.NewStream(&session.Request{Procedure: "b"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			message := make([]byte, 32<<10)
			for range 3 { // the fourth finds no credit
				if err := a.Send(message, false, nil); err != nil {
					t.Fatal(err)
				}
			}
			done := make(chan struct{})
			sentA, sentB := make(chan error, 1), make(chan error, 1)
			go func() { sentA <- a.Send(message, false, done) }()
			go func() { sentB <- b.Send(message, false, nil) }()
			var both sync.WaitGroup
			both.Go(func() { close(done) })
			both.Go(func() { p.send(wire.TypeCredit, 0, 0, credit(32<<10+100)) })
			both.Wait()
			if err := <-sentA; err == nil {
				p.send(wire.TypeCredit, 0, 0, credit(32<<10+100)) // it was quicker: another for b
			}
			select {
			case err := <-sentB:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(patience):
				t.Fatal("there is credit, and the sender waits")
			}
		}()
	}
}

// A server that grants one stream at a time is waited for, and the wait is seen.
func TestCallersWaitForAnID(t *testing.T) {
	t.Parallel()
	c, _ := pair(t, handlers(), session.Config{}, session.Config{MaxStreams: 1})
	first, err := c.NewStream(&session.Request{Procedure: "deaf"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Open(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	gaveUp := make(chan error, 1)
	go func() {
		_, err := c.NewStream(&session.Request{Procedure: "echo"}, done)
		gaveUp <- err
	}()
	eventually(t, func() bool { return c.Queued() == 1 })
	close(done)
	if err := <-gaveUp; !session.IsInterrupted(err) {
		t.Errorf("a caller whose context ended: %v", err)
	}
	var callers sync.WaitGroup
	for range 10 {
		callers.Go(func() {
			for range 20 {
				call(t, c, "echo")
			}
		})
	}
	eventually(t, func() bool { return c.Queued() == 10 })
	first.Abandon(1, errors.New("enough"))
	callers.Wait()
	if c.Queued() != 0 || c.InFlight() != 0 {
		t.Errorf("%d queued, %d in flight", c.Queued(), c.InFlight())
	}
}

func TestLostSessionFailsWhatWaits(t *testing.T) {
	t.Parallel()
	c, s := pair(t, handlers(), session.Config{}, session.Config{MaxStreams: 2, StreamWindow: wire.MinWindow})
	failed := make(chan error, 3)
	for range 2 {
		st, err := c.NewStream(&session.Request{Procedure: "deaf"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Open(); err != nil {
			t.Fatal(err)
		}
		go func() {
			var err error
			for err == nil {
				err = st.Send(make([]byte, 10_000), false, nil)
			}
			failed <- err
		}()
	}
	go func() {
		_, err := c.NewStream(&session.Request{Procedure: "echo"}, nil)
		failed <- err
	}()
	eventually(t, func() bool { return c.Queued() == 1 && s.Buffered() > 100_000 })
	s.Close()
	unprocessed := 0
	for range 3 {
		var f *session.Error
		if err := <-failed; !errors.As(err, &f) || f.Code != 14 {
			t.Errorf("%v", err)
		} else if f.Unprocessed {
			unprocessed++
		}
	}
	if unprocessed != 1 {
		t.Errorf("%d of the calls are certain not to have been seen, want the one that waited", unprocessed)
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	h := handlers()
	h.serve["hold"] = func(st *session.Stream) { <-release; echo(st) }
	c, s := pair(t, h, session.Config{}, session.Config{})
	held := make(chan struct{})
	go func() { defer close(held); call(t, c, "hold") }()
	eventually(t, func() bool { return s.InFlight() == 1 })
	idle := s.Drain()
	<-s.Drained()
	<-c.GoingAway()
	_, err := c.Call(&session.Request{Procedure: "echo"}, []byte("x"), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	st, err := c.Call(&session.Request{Procedure: "echo"}, []byte("x"), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := st.Status(); status.Code != 14 || !status.Unprocessed {
		t.Errorf("a call to a draining server: %+v", status)
	}
	st.Release()
	select {
	case <-idle:
		t.Error("idle with a call in flight")
	default:
	}
	close(release)
	<-held
	<-idle
	<-c.Drain() // the caller drains too: now it takes no calls itself
	var f *session.Error
	if _, err := c.Call(&session.Request{Procedure: "echo"}, nil, nil, false); !errors.As(err, &f) || !f.Unprocessed {
		t.Errorf("a call on a draining session: %v", err)
	}
}

func TestDrainingCallerWithAnUnsentCallEnds(t *testing.T) {
	t.Parallel()
	c, _ := pair(t, handlers(), session.Config{}, session.Config{})
	st, err := c.NewStream(&session.Request{Procedure: "echo"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	idle := c.Drain()
	st.Abandon(1, errors.New("never sent"))
	select {
	case <-idle:
	case <-time.After(patience):
		t.Fatal("a call that was never sent holds the drain up")
	}
}

func TestCutAll(t *testing.T) {
	t.Parallel()
	why := errors.New("no more time")
	told := make(chan error, 1)
	h := handlers()
	h.serve["hold"] = func(st *session.Stream) {
		c := make(canceled, 1)
		if err := st.OnCancel(c); err != nil {
			c <- err
		}
		told <- <-c
		finish(st, wire.Status{})
	}
	c, s := pair(t, h, session.Config{}, session.Config{})
	st, err := c.NewStream(&session.Request{Procedure: "hold"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Open(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return s.InFlight() == 1 })
	s.CutAll(14, "cut", why)
	if err := <-told; err != why {
		t.Errorf("the handler heard %v", err)
	}
	if _, err := st.Recv(nil); err != io.EOF {
		t.Error(err)
	}
	if status, _ := st.Status(); status.Code != 14 || status.Message != "cut" {
		t.Errorf("%+v", status)
	}
}

// The answer of a lone call may stop half-way for as long as it likes: whoever
// reads waits, and does not spin.
func TestLoneCallerWaitsInTheMidstOfALargeFrame(t *testing.T) {
	t.Parallel()
	for _, size := range []int{20_000, 60_000} {
		synctest.Test(t, func(t *testing.T) {
			c, p := against(t, session.Config{}, wire.Settings{}, false)
			for round := range 3 {
				// The first frames let the reader goroutine park.
				answered := make(chan error, 1)
				go func() {
					st, err := c.Call(&session.Request{Procedure: "x"}, []byte("x"), nil, false)
					if err == nil {
						m, e := st.Recv(nil)
						if err = e; err == nil && len(m) != size {
							err = errors.New("wrong size")
						}
						st.Release()
					}
					answered <- err
				}()
				p.last(wire.TypeOpen)
				b := raw(wire.TypeData, 0, 1, make([]byte, size))
				p.write(b[:size/2])
				time.Sleep(time.Duration(round) * time.Second)
				p.write(b[size/2:])
				p.send(wire.TypeStatus, 0, 1, nil)
				if err := <-answered; err != nil {
					t.Fatal(round, err)
				}
				time.Sleep(time.Second)
			}
		})
	}
}

// A drainsOnOpen is a handler whose session drains while an OPEN is being handled.
type drainsOnOpen struct {
	*handler
	drain func()
}

func (h drainsOnOpen) Procedure(procedure string) session.ProcedureInfo {
	h.drain()
	return h.handler.Procedure(procedure)
}

// A call that the server takes is waited for, also if the server begins to drain
// while it takes the call.
func TestACallThatBeginsWithTheDrainIsWaitedFor(t *testing.T) {
	t.Parallel()
	var server *session.Session
	drained := make(chan (<-chan struct{}), 1)
	release := make(chan struct{})
	h := drainsOnOpen{handlers(), func() { drained <- server.Drain() }}
	h.serve["hold"] = func(st *session.Stream) {
		<-release
		finish(st, wire.Status{})
	}
	s, p := serve(t, session.Config{Handler: h})
	server = s // before the first OPEN
	p.send(wire.TypeOpen, wire.FlagEnd, 1, open(1, "hold", nil))
	idle := <-drained
	p.sync()
	select {
	case <-idle:
		t.Error("the session is drained while a handler runs")
	default:
	}
	close(release)
	if st := p.status(1); st.Code != 0 {
		t.Errorf("%+v", st)
	}
	<-idle
}
