package failover

import (
	"errors"
	"fmt"
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
	Drop                  // it is old: of an earlier attempt, or accepted before
	Gap                   // something is missing before it: resume
)

// A Cursor is the place of a client in one resumable stream. The zero value is
// the start of the first attempt.
type Cursor struct {
	attempt   int
	last      uint64 // last accepted sequence
	fruitless int    // resumes since something was accepted
}

// Begin says that the stream begins with next, for a client that has what comes
// before. 0 and 1 are the beginning. Call it before anything is received.
func (c *Cursor) Begin(next uint64) {
	c.last = max(next, 1) - 1
}

// Attempt returns the number of the present attempt, from 0.
func (c *Cursor) Attempt() int { return c.attempt }

// Next returns the sequence the stream goes on with.
func (c *Cursor) Next() uint64 { return c.last + 1 }

// Last returns the last accepted sequence, 0 before the first.
func (c *Cursor) Last() uint64 { return c.last }

// Message judges a message of an attempt. Sequence 0 is outside the sequence: such
// a message is accepted from the present attempt.
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

// End judges the clean end of an attempt. last is the last sequence that the worker
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

// Resume begins the next attempt after a failure and returns its number. It fails
// when the attempts so far brought nothing.
func (c *Cursor) Resume() (attempt int, err error) {
	if c.fruitless >= MaxResumes {
		return c.attempt, fmt.Errorf("%w: %d times at message %d", ErrNoProgress, c.fruitless, c.Next())
	}
	c.fruitless++
	c.attempt++
	return c.attempt, nil
}

// Move begins the next attempt after a planned move, which costs nothing.
func (c *Cursor) Move() (attempt int) {
	c.attempt++
	return c.attempt
}

// Fruitless returns how many resumes in a row brought nothing so far.
func (c *Cursor) Fruitless() int { return c.fruitless }
