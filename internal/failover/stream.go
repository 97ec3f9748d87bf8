package failover

import (
	"context"
	"io"
	"sync"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/hook"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A Stream is one call over the workers that a client's [Picker] chooses. It is
// open on one worker at a time, and its [policy] says what happens when an
// attempt fails. Its states:
//
//	         first Send                    the worker has
//	         or CloseSend                  the requests
//	 new ------------------> opening ------------------> open
//	                          ^  |                       |  |
//	   the policy lets the    |  | no worker is left,    |  | the clean end,
//	   call be made again     |  | or the policy         |  | or an error that
//	                          |  | returns an error      |  | the policy returns
//	the attempt has failed ---+  |                       |  |
//	          ^                  +------> ended <--------|--+
//	          |                                          |
//	          +------------------------------------------+
//
// Close ends the call from any state. A Stream has no goroutine of its own: the
// first Send or CloseSend opens it, and from then on Recv makes it again.
//
// One goroutine may send while another receives. The opener is the goroutine of
// the first Send until opened is closed, then that of Recv. It owns what is marked
// as the opener's without a lock.
type Stream struct {
	client *Client
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	spec   *rpcnet.Spec
	raw    *rpcnet.Spec // spec for requests that are encoded already
	policy policy
	// served hears which worker has answered. nil: nothing does.
	served func(worker rpcnet.Target, addr string)
	// opened is closed when the call is open for the first time, or has failed before.
	opened chan struct{}

	// search is the opener's.
	search search

	// sendMu is held by the goroutine that sends: the caller's, or Recv's while it
	// opens the call again.
	sendMu sync.Mutex
	begun  bool // the first Send or CloseSend was there

	// requests has a lock of its own: Recv forgets what is acknowledged while a Send
	// that holds sendMu waits for room in a window.
	requests requests

	// mu guards the fields below, which both sides and Close look at. It is never
	// held while something blocks.
	mu      sync.Mutex
	current attempt // zero before the first
	// answered says that there was a response, and closed that Close was called or the
	// context has ended: then no attempt begins any more.
	answered, closed bool
	// final is what Recv returns from now on. nil: the call has not ended.
	final error
	wait  wait
}

// An attempt is an [Attempt] that is under way. Its number counts those of the
// stream from 1.
type attempt struct {
	rpcnet.ClientStream
	messages hook.MessageReceiver // of the same stream; nil if it is none
	on       Attempt
	number   int
}

// A policy says for one kind of call what an answer is worth and whether, where
// and with which requests the call is made again. The opener calls its methods,
// but for those of the watchdog.
type policy interface {
	// ask keeps the first request, msg, whose encoding is b. It returns how many
	// bytes of requests are kept after it.
	ask(msg any, b []byte) (limit int)
	// choose chooses a worker, or says why there is none. last is the outcome of
	// the last attempt, nil before the first.
	choose(last error) (Attempt, error)
	// open opens the call on the worker of a. It returns the first request that
	// this attempt sends, made from head, the caller's.
	open(a Attempt, head []byte) (cur rpcnet.ClientStream, first []byte, err error)
	// running learns that the call is open on the worker of a.
	running(a Attempt)
	// received judges what Recv of an attempt has returned: nil hands msg to the
	// caller, errDropped waits for the next one, io.EOF ends the call, and any other
	// error fails the attempt.
	received(msg any, err error) error
	// failed prepares that the call is made again after the attempt a has ended with
	// err. It returns the error that the caller gets if the call is not made again.
	failed(a Attempt, err error) error
	watchdog
}

// init makes s a new stream with the given policy.
func (s *Stream) init(ctx context.Context, c *Client, p policy, spec *rpcnet.Spec, o rpcnet.CallOptions) {
	s.client, s.policy, s.spec, s.raw = c, p, spec, encoded(spec)
	s.served = o.ServedBy
	s.search.pick = balance.PickRequest{Selector: c.Narrow(o.Selector), AffinityKey: o.AffinityKey, LastWorker: o.LastWorker}
	s.opened = make(chan struct{})
	s.ctx, s.cancel = context.WithCancel(ctx)
	if spec.Shape != codegen.ShapeUnary {
		context.AfterFunc(s.ctx, s.release) // a caller that forgets Close does not count for ever
	}
}

// Send keeps the request and sends it. The first one opens the call.
func (s *Stream) Send(msg any) error {
	b, err := Encode(s.spec, msg)
	if err != nil {
		return err
	}
	return s.sendEncoded(msg, b)
}

// sendEncoded sends the request msg, whose encoding is b. A nil msg is one whose
// affinity key is known.
func (s *Stream) sendEncoded(msg any, b []byte) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if !s.begun {
		if s.search.pick.AffinityKey == "" && s.spec.Route != nil && msg != nil {
			s.search.pick.AffinityKey = s.spec.Route(msg)
		}
		s.requests.begin(b, s.policy.ask(msg, b))
		return s.begin()
	}
	cur := s.sending()
	if cur == nil {
		return io.EOF
	}
	s.requests.add(b)
	return s.sent(cur.Send(b))
}

// CloseSend ends the requests.
func (s *Stream) CloseSend() error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if !s.requests.end() {
		return nil
	}
	if !s.begun {
		return s.begin()
	}
	cur := s.sending()
	if cur == nil {
		return io.EOF
	}
	return s.sent(cur.CloseSend())
}

// begin opens the call for the first time. The caller holds sendMu.
func (s *Stream) begin() error {
	s.begun = true
	defer close(s.opened)
	return s.open(nil)
}

// sending returns the attempt to send on, nil if the call has ended. The caller
// holds sendMu.
func (s *Stream) sending() rpcnet.ClientStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.final != nil {
		return nil
	}
	return s.current.ClientStream
}

// sent returns what the caller sees of err, the result of sending. That the
// attempt has failed is hidden if the call can be made again: Recv does so, with the
// requests that were kept. A request that cannot be sent to any worker is not
// kept. The caller holds sendMu.
func (s *Stream) sent(err error) error {
	switch {
	case err == nil:
		return nil
	case unsendable(err):
		s.requests.unsend()
		return err
	case s.ctx.Err() != nil:
		return err
	case s.requests.whole():
		return nil
	}
	return io.EOF // Recv has the reason
}

// open opens the call on one worker after the other until it succeeds. last is why
// it must be opened again, nil for the first time. The caller holds sendMu.
//
// The loop ends: each round that fails excludes a worker or costs something that is
// limited, which is the policy's to see to.
func (s *Stream) open(last error) error {
	for {
		on, err := s.policy.choose(last)
		if err != nil {
			return s.fail(err)
		}
		cur, err := s.openOn(on)
		if err == nil {
			s.policy.running(on)
			return nil
		}
		on.End(err)
		if cur != nil {
			cur.Close()
		}
		if ferr := s.policy.failed(on, err); ferr != nil {
			return s.fail(ferr)
		}
		last = err
	}
}

// reopen opens the call again after the attempt on has ended with err.
func (s *Stream) reopen(on Attempt, err error) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if ferr := s.policy.failed(on, err); ferr != nil {
		return s.fail(ferr)
	}
	return s.open(err)
}

// openOn opens the call on the worker of on and sends the requests that were kept.
// The stream it returns, if any, is the caller's to close after an error.
func (s *Stream) openOn(on Attempt) (rpcnet.ClientStream, error) {
	head, rest, ended, small := s.requests.resend()
	cur, head, err := s.policy.open(on, head)
	if err != nil {
		return nil, err
	}
	var sent chan struct{}
	under := cur
	if !small {
		sent = make(chan struct{})
		cur = &replaying{under, sent}
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return cur, errClosed
	}
	// From here on Close ends this attempt. Before that, the check of closed does.
	s.current = attempt{cur, messagesOf(cur), on, s.current.number + 1}
	if small {
		s.startWait() // even the first request may be larger than a window
	}
	s.mu.Unlock()
	if small {
		// The wait of a unary call goes on until its response.
		err = sendAll(under, head, rest, ended)
		if err != nil || !s.waitsOn() {
			err = s.endWait(err)
		}
		return cur, err
	}
	// This is more than a window holds. A worker that answers before it reads on would
	// wait for this goroutine, the only one that receives, if it sent all here. So
	// another one sends. It ends with the attempt, and the next Send waits for it.
	go func() {
		defer close(sent)
		sendAll(under, head, rest, ended)
	}()
	return cur, nil
}

// Recv receives the next response, from another worker if the call is made again.
func (s *Stream) Recv(msg any) error {
	_, err := s.recv(msg, into)
	return err
}

// RecvOver implements [hook.MessageReceiver]. What was accepted shares the memory of
// responses: then theirs is not used again.
func (s *Stream) RecvOver(msg any) error {
	if s.spec.Resume != nil && s.spec.Resume.Accepted != nil {
		return s.Recv(msg)
	}
	_, err := s.recv(msg, over)
	return err
}

// RecvNew implements [hook.MessageReceiver].
func (s *Stream) RecvNew() (msg any, err error) {
	if s.spec.Response.DecodeNew == nil {
		return nil, nil
	}
	return s.recv(nil, fresh)
}

// A destination says where Recv and its relatives put a response. The policy sees the same
// message.
type destination uint8

const (
	into  destination = iota // a message of the caller
	over                     // the same, whose memory is used again
	fresh                    // a new message
)

// recv receives the next response, and returns it; nil if it is to be a new one and the
// stream of the attempt makes none.
func (s *Stream) recv(msg any, to destination) (any, error) {
	select {
	case <-s.opened:
	case <-s.ctx.Done():
		return nil, contextError(s.ctx)
	}
	for {
		s.mu.Lock()
		cur, final := s.current, s.final
		s.mu.Unlock()
		if final != nil {
			return nil, final
		}
		// The caller makes the message, and calls Recv.
		if to == fresh && cur.messages == nil {
			return nil, nil
		}
		got, err := s.receive(cur, msg, to)
		err = s.policy.received(got, err)
		switch err {
		case nil:
			return got, nil
		case errDropped:
			continue
		case io.EOF:
			cur.on.End(nil)
			return nil, s.finish(err)
		}
		// The order matters: the worker must not count the call any more when another one
		// is chosen, and Close ends a Send that is blocked with sendMu held, which reopen
		// needs.
		cur.on.End(err)
		cur.Close()
		if err = s.reopen(cur.on, err); err != nil {
			return nil, s.finish(err)
		}
	}
}

// receive receives a message of an attempt under the eye of the watchdog.
func (s *Stream) receive(cur attempt, msg any, to destination) (_ any, err error) {
	if !s.waitsOn() {
		s.mu.Lock()
		s.startWait()
		s.mu.Unlock()
	}
	// A stream that cannot use memory again, such as one of a test, takes new memory.
	switch {
	case to == fresh:
		msg, err = cur.messages.RecvNew()
	case to == over && cur.messages != nil:
		err = cur.messages.RecvOver(msg)
	default:
		err = cur.Recv(msg)
	}
	return msg, s.endWait(err)
}

// answer notes that the present worker has answered.
func (s *Stream) answer() {
	s.mu.Lock()
	first, on := !s.answered, s.current.on
	s.answered = true
	s.mu.Unlock()
	if first {
		s.client.succeeded()
		if s.served != nil {
			w := on.Worker()
			s.served(w.Target, w.Addr)
		}
	}
}

// fail makes err the outcome of the call, if it has none.
func (s *Stream) fail(err error) error {
	s.mu.Lock()
	if s.final == nil {
		s.final = err
	}
	s.mu.Unlock()
	return err
}

// finish makes err the last result of Recv and lets go of everything.
func (s *Stream) finish(err error) error {
	s.fail(err)
	s.cancel()
	return err
}

// attemptUnderWay returns the attempt that is under way, nil before the first.
func (s *Stream) attemptUnderWay() Attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current.on
}

// Close gives the call up if it has not ended.
func (s *Stream) Close() error {
	s.cancel()
	s.release()
	return nil
}

// release ends what the call holds on its worker.
func (s *Stream) release() {
	s.mu.Lock()
	s.closed = true
	cur := s.current
	s.stopWait()
	s.mu.Unlock()
	if cur.on != nil {
		cur.Close()
		cur.on.End(errClosed) // it counts no more, and says nothing of the worker
	}
}
