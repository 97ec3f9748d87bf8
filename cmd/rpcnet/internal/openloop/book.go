package openloop

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Report is what has been measured.
type Report struct {
	// Elapsed is the time since the start.
	Elapsed time.Duration
	// Calls are those that ended, Failed those of them that failed, and Unfinished
	// those that were given up at the end. InFlight run now.
	Calls, Failed, Unfinished, InFlight int
	// NotBegun are those that were due and had no place. They are in the histograms with
	// the time that they had waited.
	NotBegun int
	// Messages and Moves are the sums over all calls.
	Messages, Moves int
	// Codes are how many calls failed with which code.
	Codes map[string]int
	// First is the time to the first message, and Total that to the end of the calls that
	// did not fail, in nanoseconds.
	First, Total *hdrhistogram.Histogram
}

// The histograms hold from a microsecond to an hour with three digits.
const (
	lowest  = int64(time.Microsecond)
	highest = int64(time.Hour)
	digits  = 3
)

// record adds a time to a histogram.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	h.RecordValue(min(max(int64(d), lowest), highest)) // within the range: no error
}

// maxShards bounds the memory: the two histograms of a shard take about half a megabyte.
const maxShards = 16

// A book is what the calls have given so far, in parts with a lock each so that they
// seldom wait for each other.
type book struct{ shards []*shard }

// newBook returns an empty book for so many goroutines.
func newBook(goroutines int) *book {
	b := new(book)
	for range min(goroutines, maxShards) {
		b.shards = append(b.shards, &shard{sum: newReport()})
	}
	return b
}

// newReport returns an empty report.
func newReport() Report {
	return Report{
		Codes: map[string]int{},
		First: hdrhistogram.New(lowest, highest, digits), Total: hdrhistogram.New(lowest, highest, digits),
	}
}

// shard returns the part for the goroutine of that number.
func (b *book) shard(i int) *shard { return b.shards[i%len(b.shards)] }

// sum returns all parts together.
func (b *book) sum() Report {
	r := newReport()
	for _, s := range b.shards {
		s.mu.Lock()
		r.Calls += s.sum.Calls
		r.Failed += s.sum.Failed
		r.Unfinished += s.sum.Unfinished
		r.Messages += s.sum.Messages
		r.Moves += s.sum.Moves
		for code, n := range s.sum.Codes {
			r.Codes[code] += n
		}
		r.First.Merge(s.sum.First)
		r.Total.Merge(s.sum.Total)
		s.mu.Unlock()
	}
	return r
}

// A shard is a part of a book. mu guards sum.
type shard struct {
	mu  sync.Mutex
	sum Report
}

// add counts a call that was due, or was begun, at a time. unfinished says that it was
// given up.
func (s *shard) add(from time.Time, r Result, unfinished bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum.Messages += r.Messages
	s.sum.Moves += r.Moves
	if !r.First.IsZero() {
		record(s.sum.First, r.First.Sub(from))
	}
	switch {
	case unfinished && r.Code != "":
		s.sum.Unfinished++
		record(s.sum.Total, r.End.Sub(from)) // at least so long
	case r.Code != "":
		s.sum.Calls++
		s.sum.Failed++
		s.sum.Codes[r.Code]++
	default:
		s.sum.Calls++
		record(s.sum.Total, r.End.Sub(from))
	}
}
