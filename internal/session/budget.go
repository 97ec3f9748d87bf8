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
	for b > s.reserved {
		if !s.cfg.Budget.take(budgetBlock) {
			return false
		}
		s.reserved += budgetBlock
	}
	if s.reserved-b > 4*budgetBlock {
		s.cfg.Budget.give(2 * budgetBlock)
		s.reserved -= 2 * budgetBlock
	}
	return true
}

// release accounts for n bytes that were consumed or dropped.
func (s *Session) release(n int64) {
	b := s.buffered.Add(-n)
	if s.withheld.Load() > 0 && b < int64(s.cfg.SessionBuffer) {
		if w := s.withheld.Swap(0); w > 0 {
			s.sendCredit(0, w)
		}
	}
}
