package load

import "time"

// The bounds of what a worker gives to other workers when balancers ask for it. They do not
// depend on what a balancer asks: one that is wrong, or hostile, cannot move streams to
// and fro.
const (
	// HandoverRate is the share of its streams that a worker hands over in a second at
	// most, HandoverBurst the share at once, but at least one stream.
	HandoverRate  = 0.015
	HandoverBurst = 0.05
	// HandoverHold is how long a worker listens to one balancer alone, after each request
	// of it: two that both see a full worker do not empty it twice.
	HandoverHold = 30 * time.Second
	// StreamSettles is how long a stream that was resumed on a worker stays there.
	StreamSettles = 10 * time.Minute
	// StreamYoung is how long a new stream is left alone: it may soon end by itself.
	StreamYoung = 10 * time.Second
)

// A Handover is what a worker keeps of requests to hand over streams. The zero value has
// seen none. It is not safe for concurrent use.
type Handover struct {
	holder uint64        // the balancer that is listened to
	until  time.Duration // until when
	tokens float64       // streams that may be handed over
	at     time.Duration // when tokens were counted
	begun  bool
}

// Allow returns how many streams a worker with so many of them may hand over now, of n that
// a balancer asks for, and whether the balancer is listened to. The caller tells Spend
// how many it has handed over.
func (h *Handover) Allow(now time.Duration, balancer uint64, n, streams int) (allowed int, heard bool) {
	if now < h.until && balancer != h.holder {
		return 0, false
	}
	h.holder, h.until = balancer, now+HandoverHold
	most := max(1, HandoverBurst*float64(streams))
	if !h.begun {
		h.begun, h.tokens = true, most
	} else {
		h.tokens = min(h.tokens+HandoverRate*float64(streams)*(now-h.at).Seconds(), most)
	}
	h.at = now
	return min(n, int(h.tokens)), true
}

// Spend counts streams that were handed over.
func (h *Handover) Spend(n int) { h.tokens -= float64(n) }

// Movable reports whether a stream that began on the worker at an instant can move to
// another one now. resumed says that another worker had it before.
func Movable(now, began time.Duration, resumed bool) bool {
	if resumed {
		return now-began >= StreamSettles
	}
	return now-began >= StreamYoung
}
