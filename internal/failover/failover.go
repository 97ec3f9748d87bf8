// Package failover is the arithmetic of going on elsewhere: whether a message
// of a resumable stream is the next one, how long silence may last, how often
// to try again and when. It has no network and no clock; instants are durations
// since an origin of the caller's choice. Nothing here is safe for concurrent
// use unless it says so.
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
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// MaxResumes is how often in a row a stream is resumed without any message
// accepted in between: a message that kills every worker must not kill them
// all. Progress restores it.
const MaxResumes = 3

// A Verdict is what to do with what arrived.
type Verdict uint8

// The verdicts.
const (
	Accept Verdict = iota // it is the next message, or the end
	Drop                  // it is old: of an earlier try, or had before
	Gap                   // something is missing before it: resume
)

// A Cursor is the place of a client in one resumable stream. The zero value is
// the start of the first try.
type Cursor struct {
	attempt   int
	last      uint64 // last accepted sequence
	fruitless int    // resumes since something was accepted
}

// Attempt returns the number of the present try, from 0.
func (c *Cursor) Attempt() int { return c.attempt }

// Next returns the sequence the stream goes on with.
func (c *Cursor) Next() uint64 { return c.last + 1 }

// Last returns the last accepted sequence, 0 before the first.
func (c *Cursor) Last() uint64 { return c.last }

// Message judges a message of a try. Sequence 0 is outside the sequence: such
// a message is accepted from the present try.
func (c *Cursor) Message(attempt int, seq uint64) Verdict {
	switch {
	case attempt != c.attempt:
		return Drop
	case seq == 0:
		return Accept
	case seq <= c.last:
		return Drop
	case seq > c.last+1:
		return Gap
	}
	c.last, c.fruitless = seq, 0
	return Accept
}

// End judges the clean end of a try. last is the last sequence that the worker
// sent, 0 if it does not say.
func (c *Cursor) End(attempt int, last uint64) Verdict {
	switch {
	case attempt != c.attempt:
		return Drop
	case last > c.last:
		return Gap
	}
	return Accept
}

// ErrNoProgress is what a stream fails with after [MaxResumes] resumes in a row
// that brought nothing.
var ErrNoProgress = errors.New("resumed too often without progress")

// Resume begins the next try after a failure and returns its number. It fails
// when the tries so far brought nothing.
func (c *Cursor) Resume() (attempt int, err error) {
	if c.fruitless >= MaxResumes {
		return c.attempt, fmt.Errorf("%w: %d times at message %d", ErrNoProgress, c.fruitless, c.Next())
	}
	c.fruitless++
	c.attempt++
	return c.attempt, nil
}

// Move begins the next try after a planned move, which costs nothing.
func (c *Cursor) Move() (attempt int) {
	c.attempt++
	return c.attempt
}

// Fruitless returns how many resumes in a row brought nothing so far.
func (c *Cursor) Fruitless() int { return c.fruitless }

// Bounds of the time-out of a stream that has stalled.
const (
	stallMin    = 500 * time.Millisecond
	stallMax    = 10 * time.Second
	stallFactor = 8
)

// A Stall adapts to the rhythm of a stream and says how long a reader waits
// before it doubts a silent worker. The zero value has seen nothing.
type Stall struct {
	mean    float64 // seconds between messages
	gaps    int
	at      time.Duration // of the last message, or the start of the try
	started bool          // the present try has brought a message
}

// Start says that a try begins.
func (s *Stall) Start(now time.Duration) { s.at, s.started = now, false }

// Message says that a message was received.
func (s *Stall) Message(now time.Duration) {
	gap := now - s.at
	s.at = now
	if !s.started {
		s.started = true
		return
	}
	s.gaps++
	s.mean += (gap.Seconds() - s.mean) / float64(min(s.gaps, 8))
}

// Timeout returns how long to wait for the next message before the worker is
// asked whether it lives: 8 times the mean gap, from 0.5 to 10 s. Before the
// first message of a try it is 0.5 s: nothing is known of this worker, and one
// that lives keeps the stream.
func (s *Stall) Timeout() time.Duration {
	if s.gaps == 0 || !s.started {
		return stallMin
	}
	return min(max(time.Duration(stallFactor*s.mean*float64(time.Second)), stallMin), stallMax)
}

// A Budget limits how many of a client's calls are made a second time: 10 at
// once, and one for every ten that succeed, so that a cluster in trouble is not
// given more work than one that is well (gRPC's retry throttling, gRFC A6). The
// zero value is full.
//
// The resumes of streams do not pay. They repeat nothing that was accepted, so
// they are the work the cluster had before; when a worker with 100 streams dies,
// 100 must go on at once, which no budget worth its name would allow; and each
// stream has a limit ([MaxResumes]) and a back-off of its own.
type Budget struct{ spent float64 }

const (
	budgetTokens  = 10
	budgetSuccess = 0.1
)

// Take takes a token and reports whether there was one.
func (b *Budget) Take() bool {
	if b.spent > budgetTokens-1 {
		return false
	}
	b.spent++
	return true
}

// Success gives a tenth of a token back.
func (b *Budget) Success() { b.spent = max(0, b.spent-budgetSuccess) }

// Left returns the tokens left.
func (b *Budget) Left() float64 { return budgetTokens - b.spent }

// Backoff returns how long to wait before a try: nothing before the first of a
// row (n = 1), then 100 to 200 ms, doubled up to 1 to 2 s. The random half keeps
// those apart who have failed together; the fixed half makes 3 resumes outlast
// a disturbance of 0.3 s.
func Backoff(n int, r *rand.Rand) time.Duration {
	if n <= 1 {
		return 0
	}
	half := min(100*time.Millisecond<<min(n-2, 10), time.Second)
	return half + time.Duration(r.Int64N(int64(half))+1)
}
