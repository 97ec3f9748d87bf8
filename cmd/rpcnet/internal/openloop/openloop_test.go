package openloop

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stalling answers after a millisecond, but does nothing in the third second.
func stalling(start time.Time) func(context.Context, int) Result {
	return func(context.Context, int) Result {
		time.Sleep(time.Millisecond)
		if t := time.Since(start); t > 2*time.Second && t < 3*time.Second {
			time.Sleep(3*time.Second - t)
		}
		now := time.Now()
		return Result{First: now, End: now, Messages: 1}
	}
}

// A server that stops for a second of ten delays a tenth of the calls that are due. A loop
// that waits for it sees one slow call.
func TestAnOpenLoopCountsTheCallsThatAStallDelays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		open := Run(t.Context(), Config{Rate: 100, Concurrency: 4, Duration: 10 * time.Second, Grace: time.Second, Call: stalling(time.Now())})
		if open.Calls != 1000 || open.NotBegun != 0 || open.Failed != 0 || open.Messages != 1000 {
			t.Errorf("open: %d calls, %d not begun, %d failed, %d messages", open.Calls, open.NotBegun, open.Failed, open.Messages)
		}
		if open.Elapsed != 10*time.Second {
			t.Errorf("open: %v, want the 10 s in which calls are due", open.Elapsed)
		}
		// The calls due in that second waited 1 s to 0 s.
		if p50, p95 := ms(open, 50), ms(open, 95); p50 > 2 || p95 < 450 || p95 > 550 {
			t.Errorf("open: p50 %d ms, p95 %d ms, want 1 and about 500", p50, p95)
		}
		closed := Run(t.Context(), Config{Concurrency: 1, Duration: 10 * time.Second, Grace: time.Second, Call: stalling(time.Now())})
		if p99 := ms(closed, 99); closed.Calls < 8000 || p99 > 2 {
			t.Errorf("closed: %d calls, p99 %d ms, want 9000 or so and 1", closed.Calls, p99)
		}
	})
}

// ms returns a percentile of the whole times in milliseconds.
func ms(r Report, percentile float64) int64 {
	return r.Total.ValueAtQuantile(percentile) / int64(time.Millisecond)
}

// A server that takes half of the rate makes the others wait for ever longer, and what was
// never begun counts too.
func TestCallsThatHaveNoPlaceCountWithTheTimeTheyWaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := Run(t.Context(), Config{Rate: 100, Concurrency: 1, Duration: 10 * time.Second, Grace: time.Second, Call: func(context.Context, int) Result {
			time.Sleep(20 * time.Millisecond)
			return Result{}
		}})
		if r.Calls+r.NotBegun != 1000 || r.Calls < 498 || r.Calls > 502 || r.Total.TotalCount() != 1000 {
			t.Errorf("%d calls, %d not begun, %d in the histogram", r.Calls, r.NotBegun, r.Total.TotalCount())
		}
		if p50 := ms(r, 50); p50 < 2000 {
			t.Errorf("p50 %d ms: half of the calls waited longer than 2 s", p50)
		}
	})
}

func TestWhatDoesNotEndIsGivenUpAndAnInterruptEndsTheRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context, number int) Result {
			if number == 0 {
				return Result{Code: "unavailable"}
			}
			<-ctx.Done()
			return Result{Code: "canceled"}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		var mu sync.Mutex
		var seen []Report
		start := time.Now()
		r := Run(ctx, Config{Concurrency: 3, Duration: time.Hour, Grace: 5 * time.Second, Call: hang, Progress: func(r Report) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, r)
		}})
		if took := time.Since(start); took != 7500*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		if r.Calls != 1 || r.Failed != 1 || r.Unfinished != 3 || r.Codes["unavailable"] != 1 || r.Codes["canceled"] != 0 {
			t.Errorf("%+v", r)
		}
		if len(seen) != 2 || seen[1].InFlight != 3 || seen[1].Elapsed != 2*time.Second {
			t.Errorf("progress: %+v", seen)
		}
	})
}
