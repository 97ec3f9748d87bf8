package wire

// Limits bound what one message may cost to decode. The zero value means the
// defaults.
type Limits struct {
	// Depth is how deep arrays, maps and tags may nest. 0 is 64; the most is
	// [MaxDepth], which is also what a negative number means.
	Depth int
	// Budget is how many bytes of memory the decoded value may take, counted
	// with Go's sizes. 0 is 1 MiB + 32 times the length of the message; a
	// negative number is no limit.
	Budget int64
}

// MaxDepth is how deep a value may nest at most, whatever the limits. Encoders
// refuse what is deeper, such as a value that contains itself.
const MaxDepth = 10_000

const (
	defaultDepth  = 64
	defaultBudget = 1 << 20
	budgetFactor  = 32
)

func (l Limits) depth() int {
	switch {
	case l.Depth == 0:
		return defaultDepth
	case l.Depth < 0 || l.Depth > MaxDepth:
		return MaxDepth
	}
	return l.Depth
}

func (l Limits) budget(message int) int64 {
	switch {
	case l.Budget == 0:
		return defaultBudget + budgetFactor*int64(message)
	case l.Budget < 0:
		return 1<<63 - 1
	}
	return l.Budget
}
