package session

import "fmt"

// All tests of this package run with buffers that are filled with poison when they are
// given back: who reads one after that reads poison, who writes one is found when the
// buffer is used again, and the race detector sees both.
func init() {
	const poison = 0xDB
	bigGiven = func(b []byte) {
		for i := range b {
			b[i] = poison
		}
	}
	bigReused = func(b []byte) {
		for i, v := range b {
			if v != poison {
				panic(fmt.Sprintf("byte %d of a buffer of %d was written after the buffer was given back", i, len(b)))
			}
		}
	}
}
