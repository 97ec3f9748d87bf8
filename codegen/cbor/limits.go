package cbor

// Limits bound what one message may cost to decode. The zero value means the
// defaults.
//
// They bound memory and stack, and not time: decoding takes time in proportion
// to the length of the message, which is limited before.
type Limits struct {
	// Depth is how deep arrays, maps and tags may nest. 0 is 64; the most is
	// [MaxDepth], which is also what a negative number means.
	Depth int
	// Budget is how many bytes of memory the decoded value may take, counted
	// with Go's sizes. 0 is 16 MiB + 32 times the length of the message; a
	// negative number is no limit.
	//
	// A message of n bytes never takes more than n times twice the largest part
	// of its type that repeats, such as the struct of a list, for a part has one
	// byte at least. The budget bounds what that comes to: one byte can stand for
	// a struct of which every field is left out.
	Budget int64
}

// MaxDepth is how deep a value may nest at most, under any limits. Encoders
// refuse what is deeper, such as a value that contains itself.
const MaxDepth = 10_000

const (
	// A level of nesting is a call of a generated function, on the stack of the
	// goroutine that decodes.
	defaultDepth = 64
	// The constant part lets small messages have a few large parts.
	defaultBudget = 16 << 20
	budgetFactor  = 32
)

// DepthLimit returns how many levels l allows: the default if it says nothing, and
// never more than [MaxDepth].
func (l Limits) DepthLimit() int {
	switch {
	case l.Depth == 0:
		return defaultDepth
	case l.Depth < 0 || l.Depth > MaxDepth:
		return MaxDepth
	}
	return l.Depth
}

// BudgetFor returns how many bytes of memory l allows a message of n bytes.
func (l Limits) BudgetFor(n int) int64 {
	switch {
	case l.Budget == 0:
		return defaultBudget + budgetFactor*int64(n)
	case l.Budget < 0:
		return 1<<63 - 1
	}
	return l.Budget
}
