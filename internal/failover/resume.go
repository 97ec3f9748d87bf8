package failover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/contexts"
)

const (
	// resumeKeep is how many bytes of requests, after the first, a resumable stream
	// keeps until its worker has acknowledged them. Above it the stream goes on
	// but cannot be resumed any more.
	resumeKeep = 1 << 20
	// overLimitFor is the ResumeTimeout of a stream that every worker refuses for
	// something that rarely passes, such as the size of its request.
	overLimitFor = time.Second
)

// resuming is the [policy] of a stream whose responses carry a sequence. When its
// worker fails, stalls or hands it over, another one goes on with the next
// sequence: the caller sees every message once, in order.
//
// Such a stream is lost from the moment its worker fails, refuses it or hands it
// over until one has sent a message. While it is lost, each worker is asked
// once a round: those that fail, refuse or have no room are excluded until none
// remains. Then it pauses, longer each round, and begins a new one, until it has been
// lost for longer than [Config.ResumeTimeout]. So a stream that all workers refuse
// ends, and is no burden meanwhile. Apart from that, attempts that a handler saw and
// that brought nothing are counted ([MaxResumes]).
type resuming struct {
	stream *Stream
	// origin is what the instants of stall count from.
	origin time.Time
	// timer runs checkWorker while the stream waits. The stream's mu guards it.
	timer *time.Timer

	// All that follows is the opener's.

	// cursor is the place in the sequence, stall the rhythm of the messages.
	cursor Cursor
	stall  Stall
	// first is the first request, to be asked again from a later sequence.
	first any
	// current is the attempt that is under way. Its trailer says where it ended.
	current rpcnet.ClientStream
	// lost is since when the stream is lost; zero: it is not. pauses counts the rounds
	// since then in which no worker took it, and silent has the names of the workers
	// that were silent since then.
	lost   time.Time
	pauses int
	silent map[string]bool
}

// CanResume reports whether a procedure's streams can be resumed.
func CanResume(spec *rpcnet.Spec) bool {
	return spec.Resume != nil && spec.Shape.ServerStreams()
}

// newResumable starts such a stream. A worker is chosen when the first request is
// sent.
func (c *Client) newResumable(ctx context.Context, spec *rpcnet.Spec, o rpcnet.CallOptions) *Stream {
	call := new(struct {
		Stream
		policy resuming
	})
	p := &call.policy
	*p = resuming{stream: &call.Stream, origin: time.Now(), silent: map[string]bool{}}
	// One timer for all waits of the stream: watch sets it, and an hour never passes
	// before Stop.
	p.timer = time.AfterFunc(time.Hour, call.checkWorker)
	p.timer.Stop()
	call.init(ctx, c, p, spec, o)
	call.search.pick.Alternates = 1
	return &call.Stream
}

// now returns the instant for stall, which knows no clock.
func (p *resuming) now() time.Duration { return time.Since(p.origin) }

// ask keeps the first request as the value that Resume.From takes. It is a copy, since
// the caller can change its own after Send. It returns how many bytes of further
// requests are kept to be sent again.
func (p *resuming) ask(msg any, b []byte) (limit int) {
	spec := p.stream.spec
	p.first = copyOf(spec, msg, b)
	if spec.Resume.Next != nil {
		p.cursor.Begin(spec.Resume.Next(msg))
	}
	return resumeKeep
}

// choose chooses a worker, and waits for one while there is none.
func (p *resuming) choose(last error) (Attempt, error) {
	s := p.stream
	for {
		if s.ctx.Err() != nil {
			return nil, contextError(s.ctx)
		}
		s.search.excluded.expire(p.over)
		// If no worker is left, the least bad ones come back: those that failed the
		// stream longest ago, then the full ones' queues, then all after a pause.
		a, err := s.search.worker(s.ctx, s.client)
		if errors.Is(err, ErrNoWorker) && (p.expireOlder() || s.search.queue() || p.waitForWorker(err, last)) {
			continue
		}
		if err != nil {
			return nil, p.cannot(err, last)
		}
		return a, nil
	}
}

// over reports whether an exclusion has lasted long enough. While the stream is
// lost, those since then last: each worker is asked once a round.
func (p *resuming) over(e exclusion) bool {
	if !p.lost.IsZero() && !e.at.Before(p.lost) {
		return false
	}
	d := excludeFull
	if e.kind == excludedFailed {
		d = excludeFailed
	}
	return time.Since(e.at) > d
}

// expireOlder ends the exclusions that are older than the last message accepted and
// reports whether there were any. Such a worker failed the stream before the one
// that fails it now, and is more likely to be well.
func (p *resuming) expireOlder() bool {
	return p.stream.search.excluded.expire(func(e exclusion) bool { return e.next < p.cursor.Next() })
}

// waitForWorker ends a round in which no worker took the stream. It pauses and
// returns true, or returns false if the stream has been lost for too long. The pause is
// at least what the worker asked last says, up to maxHint.
func (p *resuming) waitForWorker(why, last error) bool {
	s := p.stream
	p.lose()
	left := s.client.cfg.ResumeTimeout
	if s.search.excluded.onlyLimits() {
		left = min(left, overLimitFor)
	}
	if left -= time.Since(p.lost); left <= 0 {
		return false
	}
	s.search.excluded = s.search.excluded[:0] // better one of those than none
	s.search.pick.WaitInQueue = true
	p.pauses++
	pause := Backoff(p.pauses+1, rand.New(randSource{}))
	if e, ok := errors.AsType[*rpcnet.Error](last); ok {
		pause = max(pause, min(e.RetryAfter(), maxHint))
	}
	pause = min(pause, left)
	s.client.Tell(s.ctx, Event{Kind: Waiting, Err: why, Next: p.cursor.Next(), Pause: pause})
	contexts.Sleep(p.stream.ctx, pause)
	return true
}

// cannot returns the error of a stream for which no worker can be chosen, for the
// reason err. last is why it was to be opened again.
func (p *resuming) cannot(err, last error) error {
	switch {
	case p.stream.ctx.Err() != nil:
		return contextError(p.stream.ctx)
	case last == nil || !errors.Is(err, ErrNoWorker):
		return err
	}
	code := rpcnet.CodeUnavailable
	if rpcnet.CodeOf(last) == rpcnet.CodeResourceExhausted {
		if p.stream.search.excluded.onlyLimits() {
			return last
		}
		code = rpcnet.CodeResourceExhausted
	}
	return rpcnet.Errorf(code, "cannot resume at %d: %s, after: %s", p.cursor.Next(), Reason(err), Reason(last)).WithCause(errors.Join(err, last))
}

// lose notes that no worker has the stream. From then on ResumeTimeout runs.
func (p *resuming) lose() {
	if p.lost.IsZero() {
		p.lost = time.Now()
	}
}

// taken notes that a worker has the stream: it has sent a message, or fails after it
// took it.
func (p *resuming) taken() {
	if p.lost.IsZero() {
		return
	}
	p.lost, p.pauses, p.stream.search.pick.WaitInQueue = time.Time{}, 0, false
	clear(p.silent)
}

// maxHint bounds how long a stream waits because a worker says so: another one can come
// sooner.
const maxHint = 5 * time.Second

// randSource is the global source of randomness.
type randSource struct{}

func (randSource) Uint64() uint64 { return rand.Uint64() }

// open opens the stream and asks for what comes next. The number of the attempt travels
// in the OPEN frame, so that the handler can tell. The first attempt sends the
// caller's request as it is, and so does one before any message was accepted.
func (p *resuming) open(a Attempt, head []byte) (rpcnet.ClientStream, []byte, error) {
	s := p.stream
	if next := p.cursor.Next(); next > 1 && p.first != nil {
		var err error
		if head, err = Encode(s.spec, s.spec.Resume.From(p.first, next)); err != nil {
			return nil, nil, err
		}
	}
	cur, err := a.Open(s.ctx, s.raw, min(p.cursor.Attempt(), maxAttempts))
	if err != nil {
		return nil, nil, err
	}
	p.current = cur
	p.stall.Start(p.now())
	return cur, head, nil
}

// running reports the second and later attempts.
func (p *resuming) running(a Attempt) {
	if s := p.stream; p.cursor.Attempt() > 0 {
		s.client.Tell(s.ctx, Event{Kind: Resumed, Worker: a.Worker().Node, Attempt: p.cursor.Attempt(), Next: p.cursor.Next()})
	}
}

// received accepts the next message of the sequence and the clean end after the last.
// A message that was accepted before is dropped. What leaves a gap fails the attempt:
// the worker, or the way to it, has lost something.
func (p *resuming) received(msg any, err error) error {
	s := p.stream
	switch err {
	case nil:
		s.answer()
		p.stall.Message(p.now())
		seq := s.spec.Resume.Sequence(msg)
		switch p.cursor.Message(p.cursor.Attempt(), seq) {
		case Accept:
			p.taken() // a worker that only repeats what is known has not taken it
			if accepted := s.spec.Resume.Accepted; accepted != nil && seq > 0 {
				p.first = accepted(p.first, msg)
			}
			s.requests.acknowledged(msg)
			return nil
		case Drop:
			return errDropped
		}
		return fmt.Errorf("%w: %d in place of %d", ErrGap, seq, p.cursor.Next())
	case io.EOF:
		last := lastSent(p.current)
		if p.cursor.End(p.cursor.Attempt(), last) == Accept {
			s.answer()
			return io.EOF
		}
		return fmt.Errorf("%w: the end at %d, the last was %d", ErrGap, p.cursor.Last(), last)
	}
	return err
}

// failed begins the next attempt of the cursor and excludes the worker. What counts
// toward [MaxResumes] is only an attempt that a handler saw and that brought nothing:
// that is what a request does which kills its workers.
func (p *resuming) failed(a Attempt, err error) error {
	s, worker := p.stream, a.Worker().Node
	var e *rpcnet.Error
	_, moved := MovedAt(err)
	stalled := errors.Is(err, ErrStalled)
	attempt := p.cursor.Attempt() // the one that has failed
	kind, pause := excludedFailed, time.Duration(0)
	switch {
	case s.ctx.Err() != nil, errors.Is(err, errConnsClosed):
		return err
	case !s.requests.whole():
		return rpcnet.Errorf(rpcnet.CodeUnavailable, "cannot resume: more than %d bytes of requests were not acknowledged: %s", resumeKeep, Reason(err)).WithCause(err)
	case moved:
		p.cursor.Move() // planned, and so it counts for nothing
	case errors.As(err, &e) && e.Unprocessed():
		var better bool
		if kind, better = refusalOf(e); !better {
			return err
		}
		p.cursor.Move() // no handler has seen this attempt: it counts for nothing
	case stalled && p.silent[worker]:
		p.cursor.Move() // no other is there, and this one is still silent: ResumeTimeout decides
	case stalled, errors.Is(err, ErrGap), s.client.cfg.Retryable(err):
		if _, rerr := p.cursor.Resume(); rerr != nil {
			code := rpcnet.CodeUnavailable
			if e != nil {
				code = e.Code()
			}
			return rpcnet.Errorf(code, "%v: %s", rerr, Reason(err)).WithCause(errors.Join(rerr, err))
		}
		pause = Backoff(p.cursor.Fruitless(), rand.New(randSource{}))
		if stalled {
			p.silent[worker] = true
		} else {
			p.taken() // until now
		}
	default:
		return err
	}
	p.lose()
	s.search.pick.LastWorker = ""
	s.search.exclude(worker, kind, p.cursor.Next())
	event := Event{Kind: Failed, Worker: worker, Attempt: attempt, Err: err, Next: p.cursor.Next()}
	if moved || kind == excludedDraining {
		event.Kind = Moved
	}
	s.client.Tell(s.ctx, event)
	if pause > 0 {
		contexts.Sleep(p.stream.ctx, pause)
	}
	return nil
}

// watch has the worker asked when the stream has been silent for longer than its
// rhythm allows.
func (p *resuming) watch(time.Time) bool {
	p.timer.Reset(p.stall.Timeout())
	return true
}

// watchAgain doubles the time between two probes, up to probeEvery.
func (p *resuming) watchAgain(_ time.Time, silent time.Duration) {
	p.timer.Reset(min(silent, probeEvery))
}

// unwatch stops the timer. A check that runs already finds no wait and does nothing.
func (p *resuming) unwatch() { p.timer.Stop() }

// mayGiveUp always allows it: a stream that is resumed repeats nothing, so that a wrong
// suspicion costs time only.
func (p *resuming) mayGiveUp() bool { return true }

// lastSent returns the last sequence that the worker of cur, a stream that has ended,
// says it has sent, 0 if it does not say.
func lastSent(cur rpcnet.ClientStream) uint64 {
	n, err := strconv.ParseUint(trailer(cur, LastTrailer), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
