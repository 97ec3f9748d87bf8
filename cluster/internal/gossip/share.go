package gossip

// A Share counts what is in use of something that others take, in all and by
// each. It is not safe for concurrent use: its owner's lock guards it.
type Share struct {
	most, mostEach int
	all            int
	each           map[string]int
}

// NewShare returns a Share of which most may be in use at once, and mostEach by
// one.
func NewShare(most, mostEach int) Share {
	return Share{most: most, mostEach: mostEach, each: map[string]int{}}
}

// Take takes n for who, and reports whether there was as much.
func (s *Share) Take(who string, n int) bool {
	if s.all+n > s.most || s.each[who]+n > s.mostEach {
		return false
	}
	s.all += n
	s.each[who] += n
	return true
}

// Give gives n back that who has taken.
func (s *Share) Give(who string, n int) {
	s.all -= n
	if s.each[who] -= n; s.each[who] <= 0 {
		delete(s.each, who)
	}
}

// InUse returns how much is in use.
func (s *Share) InUse() int { return s.all }
