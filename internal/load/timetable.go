package load

import (
	"container/heap"
	"time"
)

// A timetable is a heap of the candidates whose status can change by time alone, the
// earliest due first. A candidate whose time has moved later, as that of an old report
// does with every report, keeps its place: it is looked at in vain once and listed
// again, so that a report does not touch the heap.
type timetable []*Candidate

// list makes sure that w is looked at when it is due. due is 0 if time alone changes
// nothing.
func (t *timetable) list(w *Candidate, due time.Duration) {
	switch {
	case due == 0 || w.listed > 0 && w.due <= due:
	case w.listed > 0:
		w.due = due
		heap.Fix(t, w.listed-1)
	default:
		w.due = due
		heap.Push(t, w)
	}
}

// next takes out a candidate that is due, nil if there is none.
func (t *timetable) next(now time.Duration) *Candidate {
	if len(*t) == 0 || (*t)[0].due > now {
		return nil
	}
	return heap.Pop(t).(*Candidate)
}

// strike takes w out, if it is in it, as when it is removed from the pool.
func (t *timetable) strike(w *Candidate) {
	if w.listed > 0 {
		heap.Remove(t, w.listed-1)
	}
}

// Len, Less, Swap, Push and Pop are those of heap.Interface.
func (t timetable) Len() int { return len(t) }

// Less orders by due time.
func (t timetable) Less(i, j int) bool { return t[i].due < t[j].due }

// Swap swaps two candidates.
func (t timetable) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].listed, t[j].listed = i+1, j+1
}

// Push appends a candidate.
func (t *timetable) Push(x any) {
	w := x.(*Candidate)
	*t = append(*t, w)
	w.listed = len(*t)
}

// Pop removes the last candidate.
func (t *timetable) Pop() any {
	last := len(*t) - 1
	w := (*t)[last]
	(*t)[last] = nil
	*t, w.listed = (*t)[:last], 0
	return w
}
