package failover

import (
	"sync"
	"time"
)

// A unaryWatchdog watches the unary calls of one client that can be made again. It
// has [Stream.checkWorker] ask the worker of a call that was not answered for half a
// second, and again every 2 s.
//
// The calls wait in two queues, one for each of these times. A queue is in the order
// of the next check because all calls in it wait equally long. So a call that is
// answered in time costs no goroutine, no timer and no memory: it is linked into a
// queue and out again. One timer runs for the first call of both queues.
//
// The zero value is ready. It is safe for concurrent use. mu guards the queues and
// the links of the calls in them. It is a leaf: a stream's own mu is held when it is
// locked, and nothing is locked while it is held.
type unaryWatchdog struct {
	mu    sync.Mutex
	fresh watchQueue // their workers were not asked yet
	asked watchQueue // their workers were asked before
	// timer runs check. It is made when it is first needed.
	timer *time.Timer
	// next is when the timer runs. Zero: it does not run.
	next time.Time
}

// A watchQueue is a list of calls, the next to be checked first.
type watchQueue struct{ head, tail *watched }

// watched is a call, with its place in a queue.
type watched struct {
	call interface{ checkWorker() }

	queue      *watchQueue // nil: in none
	prev, next *watched
	due        time.Time
}

// push puts a call at the end.
func (q *watchQueue) push(c *watched) {
	c.queue, c.prev = q, q.tail
	if q.tail != nil {
		q.tail.next = c
	} else {
		q.head = c
	}
	q.tail = c
}

// remove takes a call out, wherever it stands.
func (q *watchQueue) remove(c *watched) {
	if prev := c.prev; prev != nil {
		prev.next = c.next
	} else {
		q.head = c.next
	}
	if next := c.next; next != nil {
		next.prev = c.prev
	} else {
		q.tail = c.prev
	}
	c.queue, c.prev, c.next = nil, nil, nil
}

// add watches a call from now on, whose worker has been asked before or not.
func (w *unaryWatchdog) add(c *watched, now time.Time, asked bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.queue != nil {
		c.queue.remove(c)
	}
	q, after := &w.fresh, silentFor
	if asked {
		q, after = &w.asked, probeEvery
	}
	c.due = now.Add(after)
	q.push(c)
	w.arm(now)
}

// remove stops watching a call. It reports false if the call is not watched: it never
// was, or its worker is asked now.
func (w *unaryWatchdog) remove(c *watched) (was bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if was = c.queue != nil; was {
		c.queue.remove(c)
	}
	return was
}

// arm sets the timer to the next check. The caller holds mu.
func (w *unaryWatchdog) arm(now time.Time) {
	for _, q := range [...]*watchQueue{&w.fresh, &w.asked} {
		if q.head == nil || !w.next.IsZero() && !q.head.due.Before(w.next) {
			continue
		}
		w.next = q.head.due
		if w.timer == nil {
			w.timer = time.AfterFunc(w.next.Sub(now), w.check)
		} else {
			w.timer.Reset(w.next.Sub(now))
		}
	}
}

// check has the workers asked of the calls that are due. Each is a goroutine, for
// as long as a probe takes: one slow worker must not delay the others.
func (w *unaryWatchdog) check() {
	now := time.Now()
	w.mu.Lock()
	w.next = time.Time{}
	var due []*watched
	for _, q := range [...]*watchQueue{&w.fresh, &w.asked} {
		for q.head != nil && !q.head.due.After(now) {
			due = append(due, q.head)
			q.remove(q.head)
		}
	}
	w.arm(now)
	w.mu.Unlock()
	for _, c := range due {
		go c.call.checkWorker()
	}
}
