// Package balance holds the strategies that choose one worker out of several.
//
// A strategy is arithmetic over candidates: it has no network and no clock,
// randomness comes in as an argument, and a pick allocates nothing. So the
// same code serves a live registry and a simulation.
//
// Who gathers the candidates has already left out the workers that must not be
// chosen (draining, suspected, excluded); a strategy only compares.
package balance

import (
	"math/rand/v2"
)

// A Candidate is one worker as a strategy sees it.
type Candidate struct {
	// ID identifies the worker in all processes and across its restarts: see
	// [ID]. Candidates are sorted by it, ascending, without duplicates.
	ID uint64
	// Load is the estimate of the calls in flight on the worker, whoever made
	// them; never negative.
	Load float64
	// Own is how many of those this process runs itself.
	Own int
	// Capacity is how many calls the worker wants to run at once, above 0: see
	// [Median] for workers that declare none.
	Capacity float64
	// Penalty is added to the worker's utilisation (1 is one whole capacity),
	// such as [ZonePenalty] for a worker in another zone.
	Penalty float64
	// Latency is the peak-sensitive mean duration of unary calls in seconds,
	// 0 if unknown: see [Latency].
	Latency float64
}

// ZonePenalty is what a worker in another zone than the chooser's costs: it is
// taken when the local ones are fuller by a quarter of their capacity.
const ZonePenalty = 0.25

// A Request is what a pick depends on beside the candidates.
type Request struct {
	// Rand is the source of randomness; not nil.
	Rand *rand.Rand
	// Key is the affinity key of the call, "" if it has none.
	Key string
	// Hint is the ID of the worker that served the session before, 0 if none.
	Hint uint64
	// Sampled says that the loads are shared by many choosers or are old, so
	// that all of them would find the same minimum at the same time: see
	// [Crowded].
	Sampled bool
}

// Crowded reports whether choosers of a worker should sample instead of taking
// the minimum: when more than 3 share the workers, or reports are coalesced to
// more than 20 ms. Simulated with 8 choosers and 50 ms: p99 waiting 485 ms for
// the minimum, 232 ms for the best of 4 draws.
func Crowded(choosers int, reportGapMillis int) bool {
	return choosers > 3 || reportGapMillis > 20
}

// A Choice is the outcome of a pick and why it came about.
type Choice struct {
	// Index is the position of the chosen candidate, -1 if there are none.
	Index int
	// Reason says which rule decided.
	Reason Reason
	// Score is what the rule compared: utilisation after the call for
	// LeastLoaded, Sampled, HintFull and OwnerFull; seconds for Latency; 0 else.
	Score float64
}

// A Reason says which rule made a choice.
type Reason uint8

// The reasons.
const (
	NoCandidate Reason = iota // there was nothing to choose from
	OnlyOne                   // there was one candidate
	LeastLoaded               // lowest utilisation of all
	Tie                       // drawn among several of the lowest utilisation
	Sampled                   // lowest utilisation of four draws
	Turn                      // its turn in the rotation
	Drawn                     // drawn at random
	FasterOfTwo               // lower latency times calls in flight of two draws
	KeyOwner                  // first in the order of the call's key
	OwnerFull                 // a later one in the order of the key: those before are over the bound
	HintKept                  // served the session before and has room
	HintFull                  // the one that served the session before has no room or is gone
)

var reasons = [...]string{
	"no candidate", "only candidate", "least loaded", "least loaded, drawn among equals", "least loaded of four draws",
	"its turn", "drawn", "faster of two draws", "owner of the key", "next owner of the key: those before are over the bound",
	"served the session before", "least loaded: the one before has no room or is gone",
}

// String returns the reason in words.
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return "unknown"
}

// A Picker chooses among candidates. It may keep state between picks (a
// cursor), so each selector has its own; it is not safe for concurrent use.
type Picker interface {
	// Pick chooses one of cs, which it must not keep or change.
	Pick(cs []Candidate, req *Request) Choice
}

// ID returns the identity of a worker for [Candidate.ID]: a fixed hash of its
// name, the same in every process and version.
func ID(name string) uint64 { return mix(hash(name)) }

// hash is 64-bit FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/).
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood, 2014).
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// few answers picks that leave nothing to choose.
func few(cs []Candidate) (Choice, bool) {
	switch len(cs) {
	case 0:
		return Choice{Index: -1}, true
	case 1:
		return Choice{Index: 0, Reason: OnlyOne, Score: score(&cs[0])}, true
	}
	return Choice{}, false
}

// score is the utilisation of c if it got the call.
func score(c *Candidate) float64 { return (c.Load+1)/c.Capacity + c.Penalty }
