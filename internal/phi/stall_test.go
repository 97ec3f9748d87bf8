package phi_test

import (
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/phi"
)

// TestAPauseThatWasSaidIsNoStall: only what is later than said is.
func TestAPauseThatWasSaidIsNoStall(t *testing.T) {
	t.Parallel()
	s := phi.NewStall(20 * time.Millisecond)
	s.Tick(0)
	s.Until(200 * time.Millisecond)
	for at, want := range map[time.Duration]time.Duration{
		100 * time.Millisecond: 0, 220 * time.Millisecond: 0, 300 * time.Millisecond: 100 * time.Millisecond,
	} {
		if late := s.Late(at); late != want {
			t.Errorf("at %v it is late by %v, want %v", at, late, want)
		}
	}
	if late := s.Tick(210 * time.Millisecond); late != 0 {
		t.Errorf("late by %v", late)
	}
	if late := s.Tick(260 * time.Millisecond); late != 30*time.Millisecond {
		t.Errorf("after a tick without a pause: late by %v, want 30ms", late)
	}
}
