package reuse_test

import (
	"testing"
	"unsafe"

	"github.com/rpcnet-go/rpcnet/internal/reuse"
)

// TestPartsAreTakenOnce: no two fields get the same memory, and what is too small, or has
// grown too large, is left.
func TestPartsAreTakenOnce(t *testing.T) {
	t.Parallel()
	v := struct {
		small, large []byte
		numbers      []int
		labels       map[string]int
	}{make([]byte, 2), make([]byte, 0, 10), []int{1, 2, 3}, map[string]int{"a": 1}}
	small, large, numbers := unsafe.SliceData(v.small), unsafe.SliceData(v.large), unsafe.SliceData(v.numbers)
	p := &reuse.Parts{Value: &v}
	p.AddBytes(&v.small)
	p.AddBytes(&v.large)
	p.AddSlice(&v.numbers)
	p.AddMap(&v.labels)
	if b := p.Bytes(3); len(b) != 0 || cap(b) != 10 || unsafe.SliceData(b) != large {
		t.Errorf("Bytes(3): %d of %d bytes, want the large slice, empty", len(b), cap(b))
	}
	if b := p.Bytes(1); unsafe.SliceData(b) != small {
		t.Error("Bytes(1) is not the small slice")
	}
	if b := p.Bytes(0); b != nil {
		t.Errorf("Bytes(0): %v, want nil: all have been taken", b)
	}
	if s := reuse.Slice[uint](p, 1); s != nil {
		t.Errorf("a slice of another type: %v", s)
	}
	if s := reuse.Slice[int](p, 4); s != nil {
		t.Errorf("a slice that is too small: %v", s)
	}
	s := reuse.Slice[int](p, 2)
	if len(s) != 0 || unsafe.SliceData(s) != numbers || s[:2][0] != 0 || s[:2][1] != 0 {
		t.Errorf("Slice(2): %v of %v, want the slice with two zeros ahead", s, s[:2])
	}
	if s := reuse.Slice[int](p, 1); s != nil {
		t.Errorf("the slice came twice: %v", s)
	}
	if m := reuse.Map[map[string]int](p); m == nil || len(m) != 0 {
		t.Errorf("Map: %v, want an empty map", m)
	}
	if m := reuse.Map[map[string]int](p); m != nil {
		t.Errorf("the map came twice: %v", m)
	}
	// A map that was large once takes long to empty for ever.
	v.labels = map[string]int{}
	for i := range 65 {
		v.labels[string(rune('0'+i))] = i
	}
	if m := reuse.Map[map[string]int](p); m != nil {
		t.Errorf("a map of 65 entries is used again")
	}
}

// TestTextsAreFoundInOrder: texts that are the same as before are found in their order, and
// after one that has changed.
func TestTextsAreFoundInOrder(t *testing.T) {
	t.Parallel()
	texts := []string{"a", "b", "c", "a"}
	var p reuse.Parts
	for i := range texts {
		p.AddText(&texts[i])
	}
	for range 2 {
		p.Rewind()
		for _, c := range []struct {
			text  string
			found bool
		}{{"a", true}, {"x", false}, {"c", true}, {"b", false}, {"a", true}, {"a", false}} {
			if got, ok := p.Text([]byte(c.text)); ok != c.found || ok && got != c.text {
				t.Errorf("%q: %q, %v, want %v", c.text, got, ok, c.found)
			}
		}
	}
}
