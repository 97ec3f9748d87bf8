package session

import (
	"math/bits"
	"sync"
)

// Messages of more than some KiB come in buffers of sizes that are powers of two, which
// are used again. Each buffer has one owner: who got it from getBig. The owner may keep
// it for ever, or give it back with putBig and not use it after that. All sessions
// share the pools, so a burst on one leaves memory to others.

const (
	minBigBits = 13 // 8 KiB
	maxBigBits = 23 // 8 MiB; larger ones are left to the garbage collector
)

var (
	// bigBuffers has buffers by size, each as a *[]byte.
	bigBuffers [maxBigBits - minBigBits + 1]sync.Pool
	// bigHeaders has the *[]byte of buffers that are in use, so that giving one back
	// allocates nothing.
	bigHeaders = sync.Pool{New: func() any { return new([]byte) }}
)

// Tests see each buffer that is given back and each that is used again. They are set
// before the first session, and are nil outside tests.
var bigGiven, bigReused func(b []byte)

// bigClass is the power of two of the size of a buffer for n bytes.
func bigClass(n int) int { return max(bits.Len(uint(n-1)), minBigBits) }

// bigCap is the capacity of a buffer for n bytes.
func bigCap(n int) int { return 1 << bigClass(n) }

// getBig returns a buffer of length n and capacity bigCap(n). Its bytes are those of
// the last use: the caller overwrites all of them. Safe for concurrent use.
func getBig(n int) []byte {
	class := bigClass(n)
	if class > maxBigBits {
		return make([]byte, n, 1<<class) // not n: it may grow part by part
	}
	h, ok := bigBuffers[class-minBigBits].Get().(*[]byte)
	if !ok {
		return make([]byte, n, 1<<class)
	}
	b := *h
	*h = nil
	bigHeaders.Put(h)
	if bigReused != nil {
		bigReused(b[:cap(b)])
	}
	return b[:n]
}

// putBig gives a buffer back. Only buffers of getBig's sizes are kept; others, nil
// among them, are left to the garbage collector. Safe for concurrent use.
func putBig(b []byte) {
	class := bits.Len(uint(cap(b))) - 1
	if class < minBigBits || class > maxBigBits || cap(b) != 1<<class {
		return
	}
	if bigGiven != nil {
		bigGiven(b[:cap(b)])
	}
	h := bigHeaders.Get().(*[]byte)
	*h = b
	bigBuffers[class-minBigBits].Put(h)
}
