package failover

import (
	"maps"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

// How long a worker is not wanted that has failed the stream, or refused it.
const (
	grudgeFor = 10 * time.Second
	fullFor   = time.Second
)

// A grudge is held against a worker that has failed the stream, or refused it.
type grudge struct {
	kind kindOfGrudge
	at   time.Time
	next uint64 // the sequence that was to come then
}

// A kindOfGrudge is what a worker has done.
type kindOfGrudge uint8

const (
	failed    kindOfGrudge = iota // failed, or could not be reached
	elsewhere                     // sent the stream elsewhere: it drains
	full                          // had no room
	exceeded                      // said that the stream is over some other limit
)

// refusalOf returns what a worker has done that ended a try before a handler saw
// it. It reports false if the request is to blame: no worker would do better.
func refusalOf(e *rpcnet.Error) (kind kindOfGrudge, elsewhereBetter bool) {
	switch {
	case e.Code() == rpcnet.CodeUnavailable && e.Remote():
		return elsewhere, true
	case e.Code() == rpcnet.CodeUnavailable:
		return failed, true
	case e.Code() != rpcnet.CodeResourceExhausted:
		return failed, false
	case isFull(e):
		return full, true
	}
	return exceeded, true
}

// forgive ends the grudges that are older than the last message accepted and
// reports whether there were any. Such a worker failed the stream before the
// one that fails it now, and is more likely to be well.
func (s *Resumable) forgive() bool {
	before := len(s.excluded)
	maps.DeleteFunc(s.excluded, func(_ string, g grudge) bool { return g.next < s.cursor.Next() })
	return len(s.excluded) < before
}

// queue makes the stream wait in the queues of the workers that had no room, if
// it has not yet, and reports whether there are any.
func (s *Resumable) queue() bool {
	if s.wish.Patient {
		return false
	}
	before := len(s.excluded)
	maps.DeleteFunc(s.excluded, func(_ string, g grudge) bool { return g.kind == full })
	s.wish.Patient = len(s.excluded) < before
	return s.wish.Patient
}

// hopeless reports whether every worker says that the stream is over a limit.
func (s *Resumable) hopeless() bool {
	for _, g := range s.excluded {
		if g.kind != exceeded {
			return false
		}
	}
	return len(s.excluded) > 0
}

// resent holds against a worker what it has done.
func (s *Resumable) resent(worker string, kind kindOfGrudge) {
	s.excluded[worker] = grudge{kind, time.Now(), s.cursor.Next()}
}

// over reports whether a grudge has lasted long enough. While the stream is
// lost, those since then last: each worker is asked once a round.
func (s *Resumable) over(g grudge) bool {
	if !s.lost.IsZero() && !g.at.Before(s.lost) {
		return false
	}
	d := grudgeFor
	if g.kind != failed {
		d = fullFor
	}
	return time.Since(g.at) > d
}

// grudges makes the wish exclude the workers that have failed lately.
func (s *Resumable) grudges() {
	s.wish.Exclude = s.wish.Exclude[:0]
	for name, g := range s.excluded {
		if s.over(g) {
			delete(s.excluded, name)
			continue
		}
		s.wish.exclude(name)
	}
}
