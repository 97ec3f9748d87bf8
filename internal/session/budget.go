package session

import "sync/atomic"

// A Budget bounds the bytes that all sessions of an endpoint together hold
// received and not consumed. Safe for concurrent use.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget returns a budget of limit bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Used returns the bytes taken, in blocks of 256 KiB.
func (b *Budget) Used() int64 { return b.used.Load() }

const budgetBlock = 256 << 10

func (b *Budget) take(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *Budget) give(n int64) { b.used.Add(-n) }

// hold accounts for n bytes that have come and reports whether the budget has
// them. The bytes count as buffered either way. Reader only.
func (s *Session) hold(n int64) bool {
	b := s.buffered.Add(n)
	if s.cfg.Budget == nil {
		return true
	}
	for b > s.reserved.Load() {
		if !s.cfg.Budget.take(budgetBlock) {
			return false
		}
		s.reserved.Add(budgetBlock)
	}
	return true
}

// keepReserved is how much more than it needs a session keeps of the budget.
const keepReserved = 4 * budgetBlock

// giveBack returns what the session has reserved and, with b bytes buffered,
// does not need.
func (s *Session) giveBack(b int64) {
	r := s.reserved.Load()
	for r-b > keepReserved {
		n := (r - b - keepReserved/2) / budgetBlock * budgetBlock
		if s.reserved.CompareAndSwap(r, r-n) {
			s.cfg.Budget.give(n)
			return
		}
		r = s.reserved.Load()
	}
}

// release accounts for n bytes that were consumed or dropped.
func (s *Session) release(n int64) {
	b := s.buffered.Add(-n)
	s.giveBack(b)
	if s.withheld.Load() > 0 && s.unread.Load() < int64(s.cfg.SessionBuffer) {
		if w := s.withheld.Swap(0); w > 0 {
			s.sendCredit(0, w)
		}
	}
}
