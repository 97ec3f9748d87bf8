package routed

import (
	"maps"
	"time"
)

// How long a worker is not wanted that has failed the stream, or had no room.
const (
	grudgeFor = 10 * time.Second
	fullFor   = time.Second
)

// A grudge is held against a worker that has failed the stream, or had no room.
type grudge struct {
	until time.Time
	next  uint64 // the sequence that was to come then
}

// forgive ends the grudges that are older than the last message accepted and
// reports whether there were any. Such a worker failed the stream before the
// one that fails it now, and is more likely to be well.
func (s *Resumable) forgive() bool {
	before := len(s.excluded)
	maps.DeleteFunc(s.excluded, func(_ string, g grudge) bool { return g.next < s.cursor.Next() })
	return len(s.excluded) < before
}

// resent holds it against a worker that it failed the stream, or was full.
func (s *Resumable) resent(worker string, full bool) {
	d := grudgeFor
	if full {
		d = fullFor
	}
	s.excluded[worker] = grudge{time.Now().Add(d), s.cursor.Next()}
}

// grudges makes the wish exclude the workers that have failed lately.
func (s *Resumable) grudges() {
	s.wish.Exclude = s.wish.Exclude[:0]
	for name, g := range s.excluded {
		if time.Now().After(g.until) {
			delete(s.excluded, name)
			continue
		}
		s.wish.exclude(name)
	}
}
