package failover

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
)

// The causes of errors of this package.
var (
	// ErrNoWorker says that no worker can be chosen.
	ErrNoWorker = errors.New("no worker available")
	// ErrStalled says that a worker was silent for too long.
	ErrStalled = errors.New("the worker is silent")
	// ErrGap says that a message of the sequence is missing.
	ErrGap = errors.New("a message of the stream is missing")
)

var (
	errClosed      = rpcnet.NewError(rpcnet.CodeCanceled, "the stream is closed")
	errConnsClosed = rpcnet.NewError(rpcnet.CodeUnavailable, "the client is closed").WithUnprocessed()
	// errSlow says that a worker has not accepted a connection within slowDial:
	// because it is frozen, or far away.
	errSlow = errors.New("still connecting")
	// errDropped is what a policy makes of a message that the caller must not see.
	errDropped = errors.New("the message was there before")
)

// MovedDetail is the name of the detail of the error that a resumable stream
// ends with when its worker drains, or hands it over. Its data is the last sequence sent, as a
// varint.
const MovedDetail = "cluster.v1.Moved"

// MovedError ends a stream that moves. last is the last sequence sent.
func MovedError(last uint64) error {
	return rpcnet.NewError(rpcnet.CodeUnavailable, "the worker hands the stream over to another").
		WithDetail(&codegen.Detail{Name: MovedDetail, Data: binary.AppendUvarint(nil, last)})
}

// MovedAt reports whether err is the end of a stream that moves, and the last
// sequence its worker sent.
func MovedAt(err error) (last uint64, ok bool) {
	var d *codegen.Detail
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

// FullError refuses a call for want of room. after is the time until some is expected, 0
// if that is not known.
func FullError(message string, after time.Duration) error {
	e := rpcnet.NewError(rpcnet.CodeResourceExhausted, message).WithDetail(&codegen.Detail{Name: FullDetail})
	return e.WithRetryAfter(after).WithUnprocessed()
}

// isFull reports whether err refuses a call for want of room.
func isFull(err error) bool {
	var d *codegen.Detail
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
	if err == nil {
		return Fine
	}
	var e *rpcnet.Error
	switch {
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

// unsendable reports whether a message could not be sent because of what it is,
// not because the attempt has ended.
func unsendable(err error) bool {
	var e *rpcnet.Error
	return errors.As(err, &e) && !e.Remote() && (e.Code() == rpcnet.CodeResourceExhausted || e.Code() == rpcnet.CodeInvalidArgument)
}

// contextError returns the error of a call whose context has ended.
func contextError(ctx context.Context) error {
	return rpcnet.NewError(rpcnet.CodeOf(ctx.Err()), ctx.Err().Error()).WithCause(ctx.Err())
}
