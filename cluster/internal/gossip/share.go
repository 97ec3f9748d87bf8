package gossip

// A Share counts how much of something is in use, in all and by each user, and limits
// both: one user cannot take what is left for the others. It is not safe for concurrent
// use: its owner's lock guards it.
type Share struct {
	most, mostEach int
	all            int
	each           map[string]int
}

// NewShare returns a Share with the limits most in all and mostEach for each user.
func NewShare(most, mostEach int) Share {
	return Share{most: most, mostEach: mostEach, each: map[string]int{}}
}

// Take takes n for a user, and reports whether there was as much. It takes all or
// nothing.
func (s *Share) Take(who string, n int) bool {
	if s.all+n > s.most || s.each[who]+n > s.mostEach {
		return false
	}
	s.all += n
	s.each[who] += n
	return true
}

// Give gives back n that a user has taken. A user that has nothing is forgotten.
func (s *Share) Give(who string, n int) {
	s.all -= n
	if s.each[who] -= n; s.each[who] <= 0 {
		delete(s.each, who)
	}
}

// InUse returns how much is in use.
func (s *Share) InUse() int { return s.all }
