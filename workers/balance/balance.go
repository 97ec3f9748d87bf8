// Package balance holds the strategies that choose one worker out of several.
//
// A registry uses one of them (workers.RegistryConfig.Strategy). The default is
// [LeastConnections], which suits streams and calls of any length. [PeakEWMA] suits
// short unary calls, [ConsistentHash] and [StickyUntilFull] keep the calls of a session
// together, and the others compare nothing or only capacities. [Custom] makes a
// strategy of your own.
//
// A strategy is arithmetic over candidates: it has no network and no clock,
// randomness comes in as an argument, and a pick allocates nothing. So the
// same code serves a live registry and a simulation.
//
// The registry has already left out the workers that must not be chosen (draining,
// suspected, excluded). A strategy only compares.
package balance

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// A Candidate is one worker as a strategy sees it.
type Candidate struct {
	// ID identifies the worker in all processes and across its restarts: see
	// [ID]. Candidates are sorted by it, ascending, without duplicates.
	ID uint64
	// Load is the estimate of the calls of all callers in flight on the worker; never
	// negative.
	Load float64
	// Own is how many of those this process runs itself.
	Own int
	// Capacity is how many calls the worker wants to run at once, above 0. For a
	// worker that declares none it is the median of the others.
	Capacity float64
	// Penalty is added to the worker's utilisation (1 is one whole capacity): 0.25
	// for a worker in another zone than the registry's, else 0.
	Penalty float64
	// Latency is the mean duration of the unary calls that this process makes on the
	// worker, in seconds, sensitive to peaks. 0 if unknown.
	Latency float64
}

// A PickRequest says what worker a caller wants. The zero value takes any worker.
//
// A strategy need not look at Selector, Exclude and Caller: they have been applied
// to the candidates that it is given.
type PickRequest struct {
	// Selector restricts the choice to workers whose tags match. Default "": any
	// worker.
	Selector string
	// Exclude names workers that must not be chosen. A strategy does not see it.
	Exclude []string
	// AffinityKey is what the calls of one session or one piece of data have in
	// common, for [ConsistentHash]. Default "": the call has none.
	AffinityKey string
	// LastWorker names the worker that served the session before, for
	// [StickyUntilFull]. Default "": there is none. Its [Candidate.ID] is
	// ID(LastWorker).
	LastWorker string
	// WaitInQueue says that the call waits at a full worker, because all have
	// refused it or there is no other. Default false: a worker that turns out to be
	// full refuses the call, so that another can take it.
	WaitInQueue bool
	// Caller is the identity that the certificate of the one who calls the worker
	// proves (rpcnet.Peer.ID). The ticket is good for that caller only. Default "":
	// this process.
	Caller string
	// Alternates is how many further workers to name, for when the chosen one
	// fails. They are not counted as assigned. Default 0.
	Alternates int

	// Rand is the source of randomness of the strategy. The registry sets it.
	Rand *rand.Rand
	// Sample says that a strategy should compare a few draws instead of all
	// candidates: many processes balance over the same workers or the loads are old,
	// so that all of them would find the same minimum at the same time. The registry
	// sets it.
	Sample bool
}

// A Pick is the outcome of a choice and why it came about.
type Pick struct {
	// Index is the position of the chosen candidate, -1 if there is none.
	Index int
	// Reason says in words which rule decided.
	Reason string
	// Score is what the rule compared: utilisation with the call for
	// [LeastConnections], seconds for [PeakEWMA], 0 for rules that compare nothing.
	Score float64
}

// Why the strategies of this package choose.
const (
	reasonNone           = "no candidate"
	reasonOnlyOne        = "only candidate"
	reasonLeastLoaded    = "least loaded"
	reasonTie            = "least loaded, drawn among equals"
	reasonSampled        = "least loaded of four draws"
	reasonTurn           = "its turn"
	reasonDrawn          = "drawn"
	reasonFasterOfTwo    = "faster of two draws"
	reasonKeyOwner       = "owner of the key"
	reasonOwnerFull      = "next owner of the key: those before are over the bound"
	reasonLastWorker     = "served the session before"
	reasonLastWorkerFull = "least loaded: the one before has no room or is gone"
)

// A Picker chooses among candidates. It can keep state between picks, such as a
// cursor: each selector of a registry has a picker of its own. It need not be safe for
// concurrent use, and must not block, since the registry holds a lock meanwhile.
type Picker interface {
	// Pick chooses one of cs. It must not keep or change cs or req. A Pick whose Index
	// is not a position in cs chooses none.
	Pick(cs []Candidate, req *PickRequest) Pick
}

// A Set is the candidates of a pick of which a strategy need not look at all. A
// [Picker] that also has a method
//
//	PickFrom(set Set, req *PickRequest) Pick
//
// is asked by that one, instead of by Pick, if the selector matches more than 64
// workers. So a pick costs the same among ten thousand. All strategies of this package
// have it; a picker without it is given all candidates however many they are. The
// index of the Pick is a position in the set, which must not be kept.
type Set interface {
	// Len returns how many candidates there are.
	Len() int
	// At returns the candidate at a position from 0 to Len()-1. The positions stay the
	// same during a pick only, and their order means nothing.
	At(i int) Candidate
	// Find returns the position of the candidate with the given ID.
	Find(id uint64) (i int, found bool)
	// Next returns the position and the ID of the candidate with the lowest ID above the
	// given one, or else of the one with the lowest of all: the order of IDs as a ring.
	// The set must not be empty.
	Next(id uint64) (i int, next uint64)
	// MaxCapacity returns a bound that no candidate's Capacity exceeds.
	MaxCapacity() float64
}

// ID returns the [Candidate.ID] of the worker of that name: a fixed hash, the same in
// every process and version, so that all registries agree on the owner of a key. Two
// names collide with a probability of 2⁻⁶⁴.
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

// find returns the position of the candidate with the given ID, or where it would
// be.
func find(cs []Candidate, id uint64) (at int, found bool) {
	return slices.BinarySearchFunc(cs, id, func(c Candidate, id uint64) int { return cmp.Compare(c.ID, id) })
}

// few returns the pick if there is nothing to choose: of no candidate, or of one.
func few(cs []Candidate) (Pick, bool) {
	switch len(cs) {
	case 0:
		return Pick{Index: -1, Reason: reasonNone}, true
	case 1:
		return Pick{Index: 0, Reason: reasonOnlyOne, Score: score(&cs[0])}, true
	}
	return Pick{}, false
}

// fewOf is few for a set.
func fewOf(set Set) (Pick, bool) {
	switch set.Len() {
	case 0:
		return few(nil)
	case 1:
		one := [1]Candidate{set.At(0)}
		return few(one[:])
	}
	return Pick{}, false
}

// score is the utilisation of c if it got the call.
func score(c *Candidate) float64 { return (c.Load+1)/c.Capacity + c.Penalty }
