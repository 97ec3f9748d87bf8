package cbor

import (
	"cmp"
	"fmt"
	"slices"
	"unsafe"

	"github.com/rpcnet-go/rpcnet/internal/reuse"
)

// This file reads maps, arrays, unions and tags, and makes the slices and maps
// that they are read into.

// Map enters a map and returns the number of its entries.
func (d *Decoder) Map() int {
	// The short way: a struct has fewer than 24 fields, as a rule, and its
	// length is in the first byte. An entry has two bytes at least.
	if d.pos < len(d.buf) {
		if n := int(d.buf[d.pos]) - majMap; uint(n) < 24 && n <= (len(d.buf)-d.pos-1)/2 && d.depth > 0 {
			d.pos++
			d.depth--
			return n
		}
	}
	return d.mapHead()
}

// mapHead is Map for a head of more than one byte, and for every error.
func (d *Decoder) mapHead() int {
	at := d.pos
	major, n, ok := d.head()
	if !ok {
		return 0
	}
	if major != majMap {
		d.wrong("map", at)
		return 0
	}
	// A length is compared with what is there before anything is done with
	// it.
	if n > uint64(d.remaining())/2 {
		d.Fail(errShort)
		return 0
	}
	return d.enter(n)
}

// Array enters an array and returns its length.
func (d *Decoder) Array() int {
	at := d.pos
	major, n, ok := d.head()
	if !ok {
		return 0
	}
	if major != majArray {
		d.wrong("array", at)
		return 0
	}
	if n > uint64(d.remaining()) {
		d.Fail(errShort)
		return 0
	}
	return d.enter(n)
}

// ArrayOf enters an array of n items.
func (d *Decoder) ArrayOf(n int) {
	if got := d.Array(); got != n && d.err == nil {
		d.Fail(fmt.Errorf("want %d items, got %d", n, got))
	}
}

// enter takes one level of depth. The length n has been compared with the bytes
// that are left, so that it fits into an int.
func (d *Decoder) enter(n uint64) int {
	if d.depth--; d.depth < 0 {
		d.Fail(ErrDepth)
		return 0
	}
	return int(n)
}

// Leave closes what Map, Array, Tag or Union entered.
func (d *Decoder) Leave() { d.depth++ }

// Union enters a union and returns the name of its variant, which is part of
// the message. Leave closes it.
func (d *Decoder) Union() string {
	// After an error the number is 0, and the error stays the first.
	if n := d.Map(); n != 1 {
		if d.err == nil {
			d.Fail(fmt.Errorf("a union is a map with one entry, got %d", n))
		}
		return ""
	}
	return d.View()
}

// Tag enters a tagged item and returns the tag. Leave closes it.
func (d *Decoder) Tag() uint64 {
	at := d.pos
	major, v, ok := d.head()
	if !ok {
		return 0
	}
	if major != majTag {
		d.wrong("tag", at)
		return 0
	}
	// Tags count as a level: they can be nested as well.
	d.enter(1)
	return v
}

// LeaveMap leaves a map that was declared with want entries and has got. Fewer
// means that a key came twice: the second value has taken the place of the first.
func (d *Decoder) LeaveMap(got, want int) {
	// After an error the map is short without a key that came twice.
	if got != want && d.err == nil {
		d.Fail(errDupKey)
	}
	d.Leave()
}

// firstChunk is how many bytes of elements are made room for before any of
// them has been read.
const firstChunk = 4 << 10

// New allocates a T within the budget. It returns a T also after an error, so
// that the code that fills it in needs no branch.
func New[T any](d *Decoder) *T {
	d.Charge(1, unsafe.Sizeof(*new(T)))
	return new(T)
}

// Slice returns an empty slice for the n elements of an array; nil for none. It
// has room for few of them: the code that calls it grows it with [Extend] as
// they arrive, so that a length alone never takes memory.
func Slice[T any](d *Decoder, n int) []T {
	// Elements of no size take no memory, however many there are.
	size, all := unsafe.Sizeof(*new(T)), n
	if size > 0 {
		n = min(n, max(1, firstChunk/int(size)))
	}
	if d.over && n > 0 {
		if s := reuse.Slice[T](d.parts, all); s != nil {
			// As much as is charged for a new one in the end, so that
			// limits do not depend on what was there before.
			if !d.Charge(all, size) {
				return nil
			}
			return s
		}
	}
	if n == 0 || !d.Charge(n, size) {
		return nil
	}
	return make([]T, 0, n)
}

// Extend returns s with one more element, zero, within the budget. n is the
// length it will have in the end. After an error the result has one element.
func Extend[T any](d *Decoder, s []T, n int) []T {
	// The short way is in the caller: there is room, and it has been
	// charged.
	if len(s) < cap(s) {
		return s[:len(s)+1]
	}
	return extend(d, s, n)
}

// extend doubles the slice, up to n elements.
func extend[T any](d *Decoder, s []T, n int) []T {
	// Doubling costs at most twice the elements that are there, however
	// large n is.
	size := max(len(s)+1, min(n, 2*len(s)))
	if !d.Charge(size-len(s), unsafe.Sizeof(*new(T))) {
		// The caller writes into the last element.
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
	if d.over {
		if m := reuse.Map[M](d.parts); m != nil {
			return m
		}
	}
	// A map grows by itself, and what it may grow to has been charged.
	return make(M, min(n, 64))
}

// entryCost returns what an entry of a map takes: a Go map has one control byte
// a slot and is at least 7/16 full when it has just grown.
func entryCost[N int64 | uintptr](key, value N) N { return 2 * (key + value + 1) }

// SortedText appends the keys of m to dst in the order in which they are
// encoded: shorter first, then bytewise.
func SortedText[M ~map[K]V, K ~string, V any](dst []K, m M) []K {
	for k := range m {
		dst = append(dst, k)
	}
	// SortFunc sorts up to 12 elements by insertion.
	if len(dst) > 12 {
		slices.SortFunc(dst, func(a, b K) int {
			return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
		})
		return dst
	}
	for i := range dst { // insertion sort, as SortFunc does with so few, without its calls
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

// integer is any type of integers, of which only the sign matters here.
type integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// SortedInts appends the keys of m to dst in the order in which they are
// encoded: 0, 1, 2, ..., -1, -2, ...
func SortedInts[M ~map[K]V, K integer, V any](dst []K, m M) []K {
	for k := range m {
		dst = append(dst, k)
	}
	// Unsigned integers and negative ones are different major types: all of
	// the first come before any of the second, which are sent as -1-n.
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
