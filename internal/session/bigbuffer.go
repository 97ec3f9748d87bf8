package session

import (
	"math/bits"
	"sync"
)

// Large messages come in buffers of sizes that are powers of two, which are
// used again. Whoever holds one may keep it instead; nobody may use it after
// putBig.

const (
	minBigBits = 15 // 32 KiB
	maxBigBits = 23 // 8 MiB; larger ones are left to the garbage collector
)

var bigBuffers [maxBigBits - minBigBits + 1]sync.Pool

// bigClass is the power of two of the size of a buffer for n bytes.
func bigClass(n int) int { return max(bits.Len(uint(n-1)), minBigBits) }

// bigCap is the capacity of a buffer for n bytes.
func bigCap(n int) int { return 1 << bigClass(n) }

// getBig returns a buffer of length n and capacity bigCap(n), with whatever
// bytes it had.
func getBig(n int) []byte {
	class := bigClass(n)
	if class > maxBigBits {
		return make([]byte, n, 1<<class) // not n: it may grow part by part
	}
	if b, ok := bigBuffers[class-minBigBits].Get().(*[]byte); ok {
		return (*b)[:n]
	}
	return make([]byte, n, 1<<class)
}

// putBig gives a buffer back. Only buffers of getBig's sizes are kept.
func putBig(b []byte) {
	class := bits.Len(uint(cap(b))) - 1
	if class < minBigBits || class > maxBigBits || cap(b) != 1<<class {
		return
	}
	b = b[:0]
	bigBuffers[class-minBigBits].Put(&b)
}
