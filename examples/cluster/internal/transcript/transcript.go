// Package transcript is what the log of the example's client says about its
// tokens: the client writes these lines, the demo and the tests read them.
package transcript

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Established is the message of a client that has reached a worker.
const Established = "✅ direct connection established to worker"

// Received is the message of a token that has arrived, the total-th in all.
func Received(sequence uint64, text string, total uint64) string {
	return fmt.Sprintf("📦 received token (sequence=%d, text=%q, total=%d)", sequence, text, total)
}

var received = regexp.MustCompile(`📦 received token \(sequence=(\d+), text=("(?:[^"\\]|\\.)*"), total=\d+\)`)

// A Token is one that a client has received.
type Token struct {
	Sequence uint64
	Text     string
}

// ParseToken reads a line that contains the message of [Received].
func ParseToken(line string) (t Token, ok bool) {
	m := received.FindStringSubmatch(line)
	if m == nil {
		return Token{}, false
	}
	n, err := strconv.ParseUint(m[1], 10, 64)
	if err != nil {
		return Token{}, false
	}
	text, err := strconv.Unquote(m[2])
	return Token{n, text}, err == nil
}

// A Tally counts what one client's log says. The sequence starts at 1; a token
// out of order counts as lost where it is missing and as received twice where
// it comes. It is not safe for concurrent use.
type Tally struct {
	Tokens   int           // received, whatever their number
	Lost     uint64        // numbers that were passed over
	Twice    int           // tokens whose number, or a later one, had been there
	Switches int           // connections to a worker after the first
	Gap      time.Duration // the longest time between two tokens

	last        uint64
	lastAt      time.Time
	connections int
}

// Line counts a line that was read at a time.
func (t *Tally) Line(at time.Time, line string) {
	if strings.Contains(line, Established) {
		t.connections++
		t.Switches = t.connections - 1
		return
	}
	token, ok := ParseToken(line)
	if !ok {
		return
	}
	if t.Tokens++; t.Tokens > 1 {
		t.Gap = max(t.Gap, at.Sub(t.lastAt))
	}
	t.lastAt = at
	if token.Sequence <= t.last {
		t.Twice++
		return
	}
	t.Lost += token.Sequence - t.last - 1
	t.last = token.Sequence
}

// Whole reports whether nothing was lost and nothing came twice.
func (t *Tally) Whole() bool { return t.Lost == 0 && t.Twice == 0 }
