// Package failover makes calls over workers that somebody chooses: a registry in
// the same process, or a director. It knows when a call may be made again on
// another worker, and how a resumable stream goes on there; who chooses, and
// how to connect, is a [Source]'s.
//
// A [Stream] is a call that stays where its first response came from. A
// [Resumable] is one that goes on elsewhere. Both have no goroutine of their
// own; their methods run on the caller's, and Recv does the failing over. A call
// whose worker is silent has one for the time of a probe ([Watch], and the
// watchdog of a Resumable).
//
// [Cursor], [Stall], [Budget] and [Backoff] are the arithmetic of going on
// elsewhere, without network or clock: whether a message of a resumable stream
// is the next one, how long silence may last, how often to try again and when.
// Instants are durations since an origin of the caller's choice. They are not safe
// for concurrent use.
//
// The rules of resumable streams, checked by a fuzz of 20 000 streams under
// random crashes, partitions, late and lost frames (no message lost, none twice,
// every text a continuation of itself):
//
//   - the client arbitrates: it alone knows what was accepted;
//   - each try has a number, and what comes from an older one is dropped, or the
//     text of two workers would mix;
//   - a message is accepted only if its sequence is the next one;
//   - the end says which sequence was the last, or a cut tail would look like
//     one;
//   - a new try asks for what follows the last accepted message.
package failover

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

// ErrNoWorker says that nobody can be chosen.
var ErrNoWorker = errors.New("no worker available")

// A Wish says what worker is wanted.
type Wish struct {
	Selector string
	Exclude  []string // names
	Key      string   // affinity
	Hint     string   // the worker before
	Standby  bool     // the call may move: have a connection to another worker ready
	Patient  bool     // all are full or slow to connect: wait for one
}

func (w *Wish) exclude(name string) {
	if !slices.Contains(w.Exclude, name) {
		w.Exclude = append(w.Exclude, name)
	}
	if w.Hint == name {
		w.Hint = ""
	}
}

// A Source chooses workers. It is safe for concurrent use.
type Source interface {
	// Next chooses a worker. The error is [ErrNoWorker] if there is none now.
	Next(ctx context.Context, w *Wish) (Leg, error)
	// Retry takes a token of the budget of calls made again.
	Retry() bool
	// Answered says that the first response has come.
	Answered(Leg)
	// Tell reports what happens to a resumable stream.
	Tell(ctx context.Context, e Event)
	// Patience is how long a resumable stream waits for a worker.
	Patience() time.Duration
	// MaxAttempts is how often a call is made that a handler may have seen.
	MaxAttempts() int
	// Retryable reports whether another worker may do better after err.
	Retryable(err error) bool
	// Watch looks after the calls of the source's client.
	Watch() *Watch
}

// A Leg is one try of a call on one worker. It counts as in flight until End.
type Leg interface {
	// Worker returns the worker's name.
	Worker() string
	// Open connects if need be and opens the stream.
	Open(ctx context.Context, spec *rpcnet.Spec, attempt int) (rpcnet.ClientStream, error)
	// Probe asks the worker whether it lives. Any answer is nil.
	Probe(ctx context.Context) error
	// End says how the try ended; unary, that its duration tells about the
	// worker's speed. Only the first call counts.
	End(err error, unary bool)
}

// An Event is a turn in the life of a resumable stream.
type Event struct {
	Kind   Kind
	Worker string
	Err    error
	Next   uint64        // the sequence it goes on with
	Pause  time.Duration // with Waiting
}

// A Kind is what an [Event] tells.
type Kind uint8

// The kinds.
const (
	Failed  Kind = iota // Worker failed with Err
	Moved               // Worker is leaving: it hands over, or takes nothing new
	Resumed             // Worker goes on from Next
	Waiting             // nobody is there (Err): the next question is in Pause
)

// MovedDetail is the name of the detail of the error that a resumable stream
// ends with when its worker drains. Its data is the last sequence sent, as a
// varint.
const MovedDetail = "cluster.v1.Moved"

// MovedError ends a stream that moves. last is the last sequence sent.
func MovedError(last uint64) error {
	return rpcnet.NewError(rpcnet.CodeUnavailable, "worker is draining: the stream moves").
		WithDetail(&rpcnet.Detail{Name: MovedDetail, Data: binary.AppendUvarint(nil, last)})
}

// MovedAt reports whether err is the end of a stream that moves, and the last
// sequence its worker sent.
func MovedAt(err error) (last uint64, ok bool) {
	var d *rpcnet.Detail
	if errors.As(err, &d) && d.Name == MovedDetail {
		last, n := binary.Uvarint(d.Data)
		return last, n > 0
	}
	return 0, false
}

// LastTrailer is the trailer in which the end of a resumable stream says which
// sequence was its last, in decimal.
const LastTrailer = "rpcnet-last-sequence"

// FullDetail is the name of the detail of the error with which a worker refuses
// a call because it has no room. It tells the refusal from those that a size or a
// quota causes: another worker, or a later time, does better.
const FullDetail = "cluster.v1.Full"

// FullError refuses a call for want of room.
func FullError(message string) error {
	return rpcnet.NewError(rpcnet.CodeResourceExhausted, message).WithDetail(&rpcnet.Detail{Name: FullDetail}).WithUnprocessed()
}

// isFull reports whether err refuses a call for want of room.
func isFull(err error) bool {
	var d *rpcnet.Detail
	return errors.As(err, &d) && d.Name == FullDetail
}

// Reason returns the text of err without its code, for an error that has a code
// of its own.
func Reason(err error) string {
	if e, ok := err.(*rpcnet.Error); ok && e.Message() != "" {
		return e.Message()
	}
	return err.Error()
}

// A Judgement is what the outcome of a call says of its worker.
type Judgement uint8

// The judgements.
const (
	Nothing Judgement = iota // the caller gave up, or was sent elsewhere
	Fine                     // a response, or an error of the application
	Bad                      // transport or availability
)

// Judge returns what err, the outcome of a call, says of the worker.
func Judge(err error) Judgement {
	var e *rpcnet.Error
	switch {
	case err == nil:
		return Fine
	case errors.Is(err, ErrStalled), errors.Is(err, ErrGap):
		return Bad
	case !errors.As(err, &e):
		return Nothing
	case e.Remote() && e.Unprocessed():
		return Nothing
	case e.Code() == rpcnet.CodeUnavailable:
		if _, moved := MovedAt(err); moved {
			return Nothing
		}
		return Bad
	case e.Remote():
		return Fine
	}
	return Nothing
}

// encoded returns the description of the same procedure for requests that are
// encoded already.
func encoded(spec *rpcnet.Spec) *rpcnet.Spec {
	if spec.Request.Append == nil {
		return spec // raw
	}
	raw := *spec
	raw.Request.Append = func(dst []byte, msg any) ([]byte, error) { return append(dst, msg.([]byte)...), nil }
	return &raw
}

// Encode returns the encoding of a request.
func Encode(spec *rpcnet.Spec, msg any) ([]byte, error) {
	if spec.Request.Append != nil {
		b, err := spec.Request.Append(nil, msg)
		if err != nil {
			return nil, rpcnet.Errorf(rpcnet.CodeInvalidArgument, "request: %s", Reason(err)).WithCause(err)
		}
		return b, nil
	}
	switch b := msg.(type) {
	case []byte:
		return slices.Clone(b), nil
	case *[]byte:
		return slices.Clone(*b), nil
	}
	return nil, rpcnet.Errorf(rpcnet.CodeInternal, "%s takes bytes, got %T", spec.Procedure, msg)
}

// unsendable reports whether a message could not be sent because of what it is,
// not because the try has ended.
func unsendable(err error) bool {
	var e *rpcnet.Error
	return errors.As(err, &e) && !e.Remote() && (e.Code() == rpcnet.CodeResourceExhausted || e.Code() == rpcnet.CodeInvalidArgument)
}

// recorded returns a context with a record of the call: the caller's own, if it
// keeps one.
func recorded(ctx context.Context) (context.Context, *rpcnet.Call) {
	if call := rpcnet.CallFrom(ctx); call != nil {
		return ctx, call
	}
	return rpcnet.NewCall(ctx, rpcnet.CallOptions{})
}

// A record is the record of one try of a stream.
type record struct {
	call *rpcnet.Call
	made int // the calls in it when the try had begun
}

// lastSent returns the last sequence that the worker says it has sent, 0 if it
// does not say, or if the record is of a later call: a caller's own may serve
// several at once.
func (r record) lastSent() uint64 {
	if r.call.Attempts() != r.made {
		return 0
	}
	n, err := strconv.ParseUint(r.call.Trailer().Get(LastTrailer), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// contextError is the error of a call whose context has ended.
func contextError(ctx context.Context) error {
	return rpcnet.NewError(rpcnet.CodeOf(ctx.Err()), ctx.Err().Error()).WithCause(ctx.Err())
}

var errClosed = rpcnet.NewError(rpcnet.CodeCanceled, "the stream is closed")
