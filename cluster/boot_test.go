package cluster

import (
	"testing"
	"time"
)

func TestABootTellsWhenItBegan(t *testing.T) {
	t.Parallel()
	before := time.Now().Truncate(time.Millisecond)
	if got := startOf(newBoot()); got.Before(before) || got.After(time.Now().Add(time.Minute)) {
		t.Errorf("%v, made at %v", got, before)
	}
	for _, boot := range []string{"", "1", "zzzzzzzzzzzzzzz", "ÄÄÄÄÄÄÄÄ", "0000000000000000000000000000000000"} {
		if got := startOf(boot); !got.IsZero() {
			t.Errorf("%q began at %v", boot, got)
		}
	}
	if got := startOf("zzzzzzzzzzzzzzzz"); got.Before(time.Now()) {
		t.Errorf("the last boot began at %v", got)
	}
}
