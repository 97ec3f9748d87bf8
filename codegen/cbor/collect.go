package cbor

import (
	"cmp"
	"slices"
	"unsafe"
)

// firstChunk is how many bytes of elements are made room for before any of
// them has been read.
const firstChunk = 4 << 10

// New allocates a T within the budget. It never returns nil.
func New[T any](d *Decoder) *T {
	d.Charge(1, unsafe.Sizeof(*new(T)))
	return new(T)
}

// Slice returns an empty slice for the n elements of an array: the code that
// calls it grows it with [Extend] as they arrive. It is nil for none.
func Slice[T any](d *Decoder, n int) []T {
	size := unsafe.Sizeof(*new(T))
	if size > 0 {
		n = min(n, max(1, firstChunk/int(size)))
	}
	if n == 0 || !d.Charge(n, size) {
		return nil
	}
	return make([]T, 0, n)
}

// Extend returns s with one more element, zero, within the budget. n is the
// length it will have in the end. After an error the result has one element.
func Extend[T any](d *Decoder, s []T, n int) []T {
	if len(s) < cap(s) {
		return s[:len(s)+1]
	}
	return extend(d, s, n)
}

func extend[T any](d *Decoder, s []T, n int) []T {
	size := max(len(s)+1, min(n, 2*len(s)))
	if !d.Charge(size-len(s), unsafe.Sizeof(*new(T))) {
		return make([]T, 1)
	}
	grown := make([]T, len(s)+1, size)
	copy(grown, s)
	return grown
}

// MakeMap returns a map for n entries within the budget; nil for none.
func MakeMap[M ~map[K]V, K comparable, V any](d *Decoder, n int) M {
	size := entryCost(unsafe.Sizeof(*new(K)), unsafe.Sizeof(*new(V)))
	if n == 0 || !d.Charge(n, size) {
		return nil
	}
	return make(M, min(n, 64))
}

// entryCost returns what an entry of a map takes: a Go map has one control byte
// a slot and is at least 7/16 full when it has just grown.
func entryCost[N int64 | uintptr](key, value N) N { return 2 * (key + value + 1) }

// MapDone leaves a map that was declared with want entries and has got. Fewer
// means that a key came twice.
func (d *Decoder) MapDone(got, want int) {
	if got != want && d.err == nil {
		d.Fail(ErrDupKey)
	}
	d.Leave()
}

// SortedText appends the keys of m to dst in the order in which they are
// encoded: shorter first, then bytewise.
func SortedText[M ~map[K]V, K ~string, V any](dst []K, m M) []K {
	for k := range m {
		dst = append(dst, k)
	}
	if len(dst) > 12 {
		slices.SortFunc(dst, func(a, b K) int {
			return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
		})
		return dst
	}
	for i := range dst { // as SortFunc does with so few, without its calls
		for j := i; j > 0; j-- {
			a, b := dst[j-1], dst[j]
			if len(a) < len(b) || len(a) == len(b) && a < b {
				break
			}
			dst[j-1], dst[j] = b, a
		}
	}
	return dst
}

// Integer is any integer type.
type Integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// SortedInts appends the keys of m to dst in the order in which they are
// encoded: 0, 1, 2, ..., -1, -2, ...
func SortedInts[M ~map[K]V, K Integer, V any](dst []K, m M) []K {
	for k := range m {
		dst = append(dst, k)
	}
	slices.SortFunc(dst, func(a, b K) int {
		switch {
		case a < 0 && b < 0:
			return cmp.Compare(b, a)
		case a < 0:
			return 1
		case b < 0:
			return -1
		}
		return cmp.Compare(a, b)
	})
	return dst
}
