package session

import (
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	t.Parallel()
	type grant struct {
		after time.Duration
		n     int64
		want  int64 // credit to give
	}
	for name, c := range map[string]struct {
		most   int64 // of this window
		shared int64 // by which all windows of the session may grow
		grants []grant
		size   int64 // at the end
	}{
		"a slow receiver keeps its window":      {1000, 1 << 20, []grant{{time.Second, 25, 25}, {time.Second, 25, 25}}, 100},
		"a quick one doubles it":                {1000, 1 << 20, []grant{{time.Second, 25, 25}, {time.Millisecond, 25, 125}, {time.Millisecond, 50, 250}}, 400},
		"up to its limit":                       {150, 1 << 20, []grant{{0, 25, 25}, {0, 25, 75}, {0, 25, 25}}, 150},
		"and within what all may grow together": {1000, 100, []grant{{0, 25, 25}, {0, 25, 125}, {0, 50, 50}}, 200},
		"not in part":                           {1000, 99, []grant{{0, 25, 25}, {0, 25, 25}}, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mem := memory{most: c.shared}
			var w window
			w.reset(100)
			now, held := int64(time.Hour), int64(0)
			for i, g := range c.grants {
				if i > 0 {
					now += int64(g.after)
				}
				if !w.spend(g.n) {
					t.Fatalf("grant %d: the window has no room", i)
				}
				if got := w.grant(g.n, now, c.most, &mem); got != g.want {
					t.Errorf("grant %d: %d bytes of credit, want %d", i, got, g.want)
				}
				if w.allowance+held != w.size {
					t.Errorf("grant %d: %d bytes may come and %d are held in a window of %d", i, w.allowance, held, w.size)
				}
			}
			if w.size != c.size || mem.grown.Load() != c.size-100 {
				t.Errorf("the window has %d bytes, all have grown by %d", w.size, mem.grown.Load())
			}
			if w.spend(w.size) != true || w.spend(1) {
				t.Error("a window lets in more or less than its size")
			}
			w.shrink(100, &mem)
			if w.size != 100 || mem.grown.Load() != 0 {
				t.Errorf("after its end: %d bytes, all have grown by %d", w.size, mem.grown.Load())
			}
		})
	}
}

// Credit of the session comes back when bytes come, a quarter of the window at a
// time, and none is lost.
func TestSessionWindow(t *testing.T) {
	t.Parallel()
	w := sessionWindow{size: 400}
	var spent, given int64
	for _, c := range []struct{ cost, want int64 }{{99, 0}, {1, 100}, {250, 250}, {16, 0}, {83, 0}, {2, 101}} {
		spent += c.cost
		got := w.spend(c.cost)
		given += got
		if got != c.want {
			t.Errorf("%d bytes of credit for %d, want %d", got, c.cost, c.want)
		}
	}
	if given != spent {
		t.Errorf("%d bytes came, %d of credit", spent, given)
	}
}
