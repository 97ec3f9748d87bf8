package failover

import (
	"sync"
	"time"
)

// A unaryWatchdog looks after the calls of one client that wait for an answer and may be
// made again. A worker that has not answered for half a second is asked whether
// it lives, and again every two; if it does not say so, the try is given up, and
// the call goes elsewhere. The calls wait in the order of their next look, in two
// queues, so that watching one that is answered in time costs no goroutine, no
// timer and no memory. The zero value is ready; it is safe for concurrent
// use.
//
// mu guards the queues and the links of the streams in them. A stream's own mu
// may be held when it is taken, never the other way round.
type unaryWatchdog struct {
	mu    sync.Mutex
	fresh watchQueue // not asked yet
	asked watchQueue // asked before
	timer *time.Timer
	next  time.Time // when the timer runs; zero: it does not
}

// A watchQueue is a list of streams, the next to be looked at first.
type watchQueue struct{ head, tail *retrying }

// watched is a stream's place in a queue.
type watched struct {
	queue      *watchQueue // nil: in none
	prev, next *retrying
	due        time.Time
}

func (q *watchQueue) push(s *retrying) {
	s.place.queue, s.place.prev = q, q.tail
	if q.tail != nil {
		q.tail.place.next = s
	} else {
		q.head = s
	}
	q.tail = s
}

func (q *watchQueue) remove(s *retrying) {
	if prev := s.place.prev; prev != nil {
		prev.place.next = s.place.next
	} else {
		q.head = s.place.next
	}
	if next := s.place.next; next != nil {
		next.place.prev = s.place.prev
	} else {
		q.tail = s.place.prev
	}
	s.place = watched{}
}

// add looks after s, whose worker has been asked before or not.
func (w *unaryWatchdog) add(s *retrying, now time.Time, asked bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.place.queue != nil {
		s.place.queue.remove(s)
	}
	q, after := &w.fresh, silentFor
	if asked {
		q, after = &w.asked, probeEvery
	}
	s.place.due = now.Add(after)
	q.push(s)
	w.arm(now)
}

// remove looks after s no more.
func (w *unaryWatchdog) remove(s *retrying) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.place.queue != nil {
		s.place.queue.remove(s)
	}
}

// arm sets the timer to the next look. The caller holds mu.
func (w *unaryWatchdog) arm(now time.Time) {
	for _, q := range [...]*watchQueue{&w.fresh, &w.asked} {
		if q.head == nil || !w.next.IsZero() && !q.head.place.due.Before(w.next) {
			continue
		}
		w.next = q.head.place.due
		if w.timer == nil {
			w.timer = time.AfterFunc(w.next.Sub(now), w.look)
		} else {
			w.timer.Reset(w.next.Sub(now))
		}
	}
}

// look probes the workers of the calls that are due.
func (w *unaryWatchdog) look() {
	now := time.Now()
	w.mu.Lock()
	w.next = time.Time{}
	var due []*retrying
	for _, q := range [...]*watchQueue{&w.fresh, &w.asked} {
		for q.head != nil && !q.head.place.due.After(now) {
			due = append(due, q.head)
			q.remove(q.head)
		}
	}
	w.arm(now)
	w.mu.Unlock()
	for _, s := range due {
		go s.stream.checkWorker()
	}
}
