package failover_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/failover"
)

func TestOnlyTheNextMessageOfThePresentAttemptIsAccepted(t *testing.T) {
	t.Parallel()
	var c failover.Cursor
	steps := []struct {
		attempt int
		seq     uint64
		want    failover.Verdict
	}{
		{0, 1, failover.Accept}, {0, 1, failover.Drop}, {0, 0, failover.Accept},
		{0, 3, failover.Gap}, {0, 2, failover.Accept}, {1, 3, failover.Drop},
	}
	for i, s := range steps {
		if got := c.Message(s.attempt, s.seq); got != s.want {
			t.Errorf("step %d: %v, want %v", i, got, s.want)
		}
	}
	if n, err := c.Resume(); n != 1 || err != nil || c.Next() != 3 {
		t.Fatalf("resume: %d, %v, next %d", n, err, c.Next())
	}
	if c.Message(0, 3) != failover.Drop {
		t.Error("a zombie's next message was accepted")
	}
	if c.Message(1, 3) != failover.Accept || c.Last() != 3 {
		t.Error("the new worker's was not")
	}
}

func TestEndBeforeTheLastMessageIsAGap(t *testing.T) {
	t.Parallel()
	var c failover.Cursor
	c.Message(0, 1)
	if c.End(0, 2) != failover.Gap {
		t.Error("a cut tail looks like an end")
	}
	if c.End(1, 1) != failover.Drop {
		t.Error("the end of another attempt counts")
	}
	if c.End(0, 1) != failover.Accept || c.End(0, 0) != failover.Accept {
		t.Error("the end is refused")
	}
}

func TestResumesEndWithoutProgressAndAreRestoredByIt(t *testing.T) {
	t.Parallel()
	var c failover.Cursor
	seq := uint64(0)
	for range 50 { // progress each time
		if _, err := c.Resume(); err != nil {
			t.Fatal(err)
		}
		seq++
		c.Message(c.Attempt(), seq)
	}
	for range failover.MaxResumes {
		if _, err := c.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 { // planned moves are free
		c.Move()
	}
	if _, err := c.Resume(); !errors.Is(err, failover.ErrNoProgress) {
		t.Fatalf("a stream that kills its workers goes on: %v", err)
	}
}

func TestStallAdaptsToTheRhythm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ gap, want time.Duration }{
		{ms, 500 * ms}, {200 * ms, 1600 * ms}, {5 * time.Second, 10 * time.Second},
	} {
		var s failover.Stall
		now := time.Duration(0)
		s.Start(now)
		if s.Timeout() != 500*ms {
			t.Errorf("before anything is known: %v", s.Timeout())
		}
		for range 100 {
			now += c.gap
			s.Message(now)
		}
		if got := s.Timeout(); math.Abs(float64(got-c.want)) > float64(ms) {
			t.Errorf("gap %v: %v, want %v", c.gap, got, c.want)
		}
	}
}

func TestNothingIsKnownOfAWorkerBeforeItsFirstMessage(t *testing.T) {
	t.Parallel()
	var s failover.Stall
	now := time.Duration(0)
	s.Start(now)
	for range 20 {
		now += 200 * ms
		s.Message(now)
	}
	s.Start(now)
	if s.Timeout() != 500*ms {
		t.Errorf("at the new worker: %v", s.Timeout())
	}
	now += 20 * time.Second
	s.Message(now)
	if got := s.Timeout(); math.Abs(float64(got-1600*ms)) > float64(ms) {
		t.Errorf("the wait for the first message changed the rhythm: %v", got)
	}
}

func TestBudgetIsTenAndATenthPerSuccess(t *testing.T) {
	t.Parallel()
	var b failover.Budget
	for i := range 10 {
		if !b.Take() {
			t.Fatalf("empty after %d", i)
		}
	}
	if b.Take() {
		t.Fatal("an eleventh token")
	}
	for range 11 {
		b.Success()
	}
	if !b.Take() || b.Take() {
		t.Fatalf("11 successes are one token; left %v", b.Left())
	}
	for range 1000 {
		b.Success()
	}
	if b.Left() != 10 {
		t.Errorf("left %v, want at most 10", b.Left())
	}
}

func TestBackoffGrowsToTwoSecondsWithJitter(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	if failover.Backoff(1, r) != 0 {
		t.Error("the first attempt waits")
	}
	for n, most := range map[int]time.Duration{2: 200 * ms, 3: 400 * ms, 5: 1600 * ms, 6: 2 * time.Second, 60: 2 * time.Second} {
		longest, shortest := time.Duration(0), most
		for range 1000 {
			d := failover.Backoff(n, r)
			if d <= most/2 || d > most {
				t.Fatalf("attempt %d waits %v, want %v to %v", n, d, most/2, most)
			}
			longest, shortest = max(longest, d), min(shortest, d)
		}
		if longest < most*9/10 || shortest > most*6/10 {
			t.Errorf("attempt %d: 1000 waits were from %v to %v of %v", n, shortest, longest, most)
		}
	}
}

// A client that has the first responses from elsewhere begins with the next one.
func TestCursorBeginsWhereTheRequestSays(t *testing.T) {
	t.Parallel()
	for _, begin := range []uint64{0, 1, 5} {
		var c failover.Cursor
		c.Begin(begin)
		first := max(begin, 1)
		if c.Next() != first || c.Message(0, first+1) != failover.Gap || c.Message(0, first) != failover.Accept {
			t.Errorf("a stream that begins with %d asks for %d, or takes another number first", begin, c.Next())
		}
	}
}
