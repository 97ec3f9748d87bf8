// Package openloop makes calls at a rate, or as fast as they are answered, and measures
// how long they take.
//
// With a rate the loop is open: when a call is due does not depend on how the calls before
// it went. A call that cannot begin in time, because as many as allowed wait for their
// answers, begins late, and the time that it waited counts as its own. So a server that
// stops for a second shows in every call that was due in that second, and not in the few
// that had begun (coordinated omission: Gil Tene, "How NOT to Measure Latency", 2015).
// Without a rate the loop is closed: a slow answer delays the next call, and the times
// are those of a caller that waits its turn.
//
// Goroutines: one for each call at a time, and one for the progress. Run waits for all of
// them.
package openloop

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A Config says which calls are made. Call and Duration are required.
type Config struct {
	// Rate is how many calls are due in a second. 0: the loop is closed.
	Rate float64
	// Concurrency is how many calls run at a time, at most. Default 1.
	Concurrency int
	// Duration is how long calls are begun.
	Duration time.Duration
	// Grace is how long the last calls may take when Duration is over.
	Grace time.Duration
	// Call makes the call of that number, from 0. It is called by several goroutines.
	Call func(ctx context.Context, number int) Result
	// Progress, if not nil, is called every second with what has been measured so far.
	Progress func(Report)
}

// A Result is how one call went.
type Result struct {
	First    time.Time // when the first message came; zero: none came
	End      time.Time // when the call ended; zero: now
	Messages int       // that came
	Moves    int       // to another worker
	Code     string    // why it failed, "" if it did not
}

// Run makes the calls until Duration is over or ctx ends, and returns what it has
// measured.
func Run(ctx context.Context, cfg Config) Report {
	cfg.Concurrency = max(cfg.Concurrency, 1)
	start := time.Now()
	l := &loop{cfg: cfg, start: start, end: start.Add(cfg.Duration), book: newBook(cfg.Concurrency)}
	// Calls go on when ctx ends: a call that is given up would count as failed.
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	begin, stop := context.WithDeadline(ctx, l.end)
	defer stop()
	var wg sync.WaitGroup
	for i := range cfg.Concurrency {
		wg.Go(func() { l.work(begin, calls, l.book.shard(i)) })
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	l.watch(begin, done)
	grace := time.NewTimer(cfg.Grace)
	defer grace.Stop()
	select {
	case <-done:
	case <-grace.C:
		cancel()
		<-done
	}
	now := time.Now()
	if now.Before(l.end) && ctx.Err() == nil {
		now = l.end // the last call was short: nothing was due any more
	}
	return l.report(now)
}

// A loop is one run. Its fields up to book are immutable.
type loop struct {
	cfg        Config
	start, end time.Time
	book       *book

	next     atomic.Int64 // the number of the next call
	inFlight atomic.Int64
	stopped  atomic.Int64 // nanoseconds from start to when calls were no more begun; 0: not yet
}

// due returns when a call is due.
func (l *loop) due(number int64) time.Time {
	return l.start.Add(time.Duration(float64(number) / l.cfg.Rate * float64(time.Second)))
}

// work makes one call after the other until begin ends.
func (l *loop) work(begin, calls context.Context, s *shard) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for begin.Err() == nil {
		number := l.next.Add(1) - 1
		from := time.Now()
		if l.cfg.Rate > 0 {
			due := l.due(number)
			if !due.Before(l.end) {
				l.next.Add(-1)
				return
			}
			if wait := due.Sub(from); wait > 0 {
				timer.Reset(wait)
				select {
				case <-timer.C:
				case <-begin.Done():
				}
			}
			from = due
		}
		if begin.Err() != nil {
			l.next.Add(-1) // it was not begun
			return
		}
		l.inFlight.Add(1)
		r := l.cfg.Call(calls, int(number))
		l.inFlight.Add(-1)
		if r.End.IsZero() {
			r.End = time.Now()
		}
		s.add(from, r, calls.Err() != nil)
	}
}

// watch reports progress until calls are no more begun.
func (l *loop) watch(begin context.Context, done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-begin.Done():
			l.stopped.Store(int64(time.Since(l.start)))
			return
		case <-done: // they end when begin does, a moment before it is seen here
			l.stopped.Store(int64(time.Since(l.start)))
			return
		case now := <-tick.C:
			if l.cfg.Progress != nil {
				l.cfg.Progress(l.report(now))
			}
		}
	}
}

// report returns what has been measured up to now.
func (l *loop) report(now time.Time) Report {
	r := l.book.sum()
	r.Elapsed = now.Sub(l.start)
	r.InFlight = int(l.inFlight.Load())
	stopped := min(time.Duration(l.stopped.Load()), l.cfg.Duration)
	if stopped == 0 || l.cfg.Rate == 0 {
		return r
	}
	// What was due and was not begun has waited for so long at least.
	for number := l.next.Load(); ; number++ {
		waited := stopped - l.due(number).Sub(l.start)
		if waited <= 0 {
			break
		}
		r.NotBegun++
		record(r.First, waited)
		record(r.Total, waited)
	}
	return r
}
