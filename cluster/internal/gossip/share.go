package gossip

// A share counts what is in use of something that others take, in all and by
// each. The transport's connMu guards it.
type share struct {
	most, mostEach int
	all            int
	each           map[string]int
}

func newShare(most, mostEach int) share {
	return share{most: most, mostEach: mostEach, each: map[string]int{}}
}

// take takes n for who, and reports whether there was as much.
func (s *share) take(who string, n int) bool {
	if s.all+n > s.most || s.each[who]+n > s.mostEach {
		return false
	}
	s.all += n
	s.each[who] += n
	return true
}

// give gives n back.
func (s *share) give(who string, n int) {
	s.all -= n
	if s.each[who] -= n; s.each[who] <= 0 {
		delete(s.each, who)
	}
}
