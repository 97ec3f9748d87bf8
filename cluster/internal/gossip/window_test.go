package gossip

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// A plainWindow does what a replayWindow does, by remembering everything.
type plainWindow struct {
	top  uint64
	seen map[uint64]bool
}

func (w *plainWindow) accept(n uint64) bool {
	if n <= w.top && (w.top-n >= windowSize || w.seen[n]) {
		return false
	}
	w.top = max(w.top, n)
	w.seen[n] = true
	return true
}

// compareWindows feeds both windows the counters.
func compareWindows(t *testing.T, counters []uint64) {
	t.Helper()
	var w replayWindow
	plain := plainWindow{seen: map[uint64]bool{0: false}}
	for i, n := range counters {
		top := plain.top
		got := make(chan bool, 1)
		go func() { got <- w.accept(n) }()
		select {
		case ok := <-got:
			if want := plain.accept(n); ok != want {
				t.Fatalf("accept(%d) with top %d is %v, want %v, after %v", n, top, ok, want, counters[max(0, i-5):i])
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("accept(%d) with top %d does not end", n, top)
		}
	}
}

// extremes are numbers near which arithmetic goes wrong.
var extremes = []uint64{0, 1, windowSize - 1, windowSize, windowSize + 1, maxCounter, math.MaxInt64, math.MaxUint64 - windowSize, math.MaxUint64 - 1, math.MaxUint64}

func TestReplayWindowMatchesAPlainOneAtExtremes(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var counters []uint64
		at := extremes[r.IntN(len(extremes))]
		for range 300 {
			switch r.IntN(20) {
			case 0:
				at = extremes[r.IntN(len(extremes))]
			case 1:
				at = r.Uint64()
			}
			counters = append(counters, at+r.Uint64N(2*windowSize)-windowSize)
		}
		compareWindows(t, counters)
	}
}

func FuzzReplayWindow(f *testing.F) {
	f.Add([]byte{1, 2, 3})
	f.Add(binary.BigEndian.AppendUint64([]byte{0xff}, math.MaxUint64-1))
	f.Fuzz(func(t *testing.T, b []byte) {
		// A byte is a step from the last counter, 255 and eight bytes a counter.
		var counters []uint64
		at := uint64(0)
		for len(b) > 0 && len(counters) < 1000 {
			step := b[0]
			b = b[1:]
			if step == 0xff && len(b) >= 8 {
				at = binary.BigEndian.Uint64(b)
				b = b[8:]
			} else {
				at += uint64(int64(int8(step)) * 9)
			}
			counters = append(counters, at)
		}
		compareWindows(t, counters)
	})
}
