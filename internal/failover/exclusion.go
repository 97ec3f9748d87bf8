package failover

import (
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

// How long a resumable stream excludes a worker that has failed it, or refused it.
const (
	// excludeFailed is for one that failed: time for it to be found out, or to restart.
	excludeFailed = 10 * time.Second
	// excludeFull is for one that refused for another reason, which passes sooner.
	excludeFull = time.Second
)

// An exclusion keeps a call from a worker that has failed it, or refused it.
type exclusion struct {
	// worker is its name: a life of it that is new is excluded too.
	worker string
	kind   exclusionKind
	at     time.Time
	// next is the sequence that was to come then, of a resumable stream. It tells
	// workers that failed at the present message from those that failed before.
	next uint64
}

// An exclusionKind is why a worker is excluded.
type exclusionKind uint8

const (
	// excludedFailed: the worker failed, or could not be reached.
	excludedFailed exclusionKind = iota
	// excludedDraining: the worker drains and takes no new calls.
	excludedDraining
	// excludedFull: the worker had no room, or was slow. Its queue can have room.
	excludedFull
	// excludedLimit: the worker said that the call is over another limit, such as the
	// size of a message. Other workers can have other limits.
	excludedLimit
)

// refusalOf returns why a worker is excluded that ended an attempt before a handler
// saw it. It reports false if the request is to blame: no worker would do better.
func refusalOf(e *rpcnet.Error) (kind exclusionKind, elsewhereBetter bool) {
	switch {
	case e.Code() == rpcnet.CodeUnavailable && e.Remote():
		return excludedDraining, true
	case e.Code() == rpcnet.CodeUnavailable:
		return excludedFailed, true
	case e.Code() != rpcnet.CodeResourceExhausted:
		return excludedFailed, false
	case isFull(e):
		return excludedFull, true
	}
	return excludedLimit, true
}

// exclusions are those of one call, the oldest first, one for each worker.
type exclusions []exclusion

// add excludes a worker, in place of what it was excluded for before. A call has few
// exclusions, so that a list is cheaper than a map, and costs nothing while it is empty.
func (x *exclusions) add(e exclusion) {
	x.expire(func(old exclusion) bool { return old.worker == e.worker })
	*x = append(*x, e)
}

// expire ends the exclusions that over reports true for, and reports whether there
// were any.
func (x *exclusions) expire(over func(exclusion) bool) bool {
	before := len(*x)
	*x = slices.DeleteFunc(*x, over)
	return len(*x) < before
}

// names appends the names of the workers.
func (x exclusions) names(to []string) []string {
	for _, e := range x {
		to = append(to, e.worker)
	}
	return to
}

// onlyLimits reports whether every worker excluded says that the call is over a
// limit, and there are any.
func (x exclusions) onlyLimits() bool {
	return len(x) > 0 && !slices.ContainsFunc(x, func(e exclusion) bool { return e.kind != excludedLimit })
}
