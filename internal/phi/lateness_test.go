package phi

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLatenessIsTheDelayOfTheTicksAndFades(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const interval = 100 * time.Millisecond
		l := NewLateness(interval)
		tick := func(after time.Duration) {
			time.Sleep(after)
			l.Tick(time.Now())
		}
		by := func(want time.Duration) {
			t.Helper()
			if got := l.By(time.Now()); got != want {
				t.Errorf("late by %v, want %v", got, want)
			}
		}
		by(0)
		tick(interval)
		by(0)
		time.Sleep(interval)
		by(0)
		time.Sleep(400 * time.Millisecond) // the tick that is due has not come
		by(400 * time.Millisecond)
		if got := l.Patience(time.Second); got != time.Second+8*400*time.Millisecond {
			t.Errorf("patience %v", got)
		}
		l.Tick(time.Now())
		by(400 * time.Millisecond)
		tick(interval)
		by(350 * time.Millisecond)
		tick(interval + 375*time.Millisecond)
		by(375 * time.Millisecond)
		for range 50 {
			tick(interval)
		}
		if got := l.By(time.Now()); got > time.Millisecond {
			t.Errorf("late by %v after 50 ticks in time", got)
		}
		tick(interval + 400*time.Millisecond)
		l.Until(3 * interval)
		time.Sleep(3 * interval)
		by(400 * time.Millisecond)
		l.Tick(time.Now()) // it fades as with three ticks
		if got := l.By(time.Now()); got < 260*time.Millisecond || got > 270*time.Millisecond {
			t.Errorf("late by %v after a pause of 3 intervals", got)
		}
		time.Sleep(time.Hour)
		if got := l.Patience(time.Second); got != 11*time.Second {
			t.Errorf("patience %v, want 10 s more at most", got)
		}
	})
}
