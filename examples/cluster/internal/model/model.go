// Package model is the language model of the example: it says the same thing
// each time it is asked, so that any worker can continue what another began
// and a run with failures can be compared with one without.
package model

import (
	"math/rand/v2"
	"strconv"
)

// Token returns token n of a text, counted from 1: "token-n" for seed 0, for
// any other a word drawn by a generator keyed by seed and n.
func Token(seed, n uint64) string {
	if seed == 0 {
		return "token-" + strconv.FormatUint(n, 10)
	}
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	r := rand.NewPCG(seed, n)
	word := make([]byte, 0, 6)
	for range 2 + r.Uint64()%2 {
		x := r.Uint64()
		word = append(word, consonants[x%uint64(len(consonants))], vowels[(x>>32)%uint64(len(vowels))])
	}
	return string(word)
}
