package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

var detectorStateNames = [...]string{"calm", "suspected", "detected"}

// String returns the name of the constant.
func (s detectorState) String() string { return nameOf(detectorStateNames[:], int(s)) }

// describeDetector says in one line how the partition detector stands, for
// package inspect: its state, whom it counts and since when it misses whom.
func (n *Node) describeDetector() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return fmt.Sprintf("%s, health %d, %d roll calls", n.detector.describe(time.Now()), n.health, n.rolls)
}

func (d *detector) describe(now time.Time) string {
	var lost, young []string
	expected := 0
	ago := func(t time.Time) string { return now.Sub(t).Round(100 * time.Millisecond).String() }
	for name, v := range d.voters {
		switch {
		case !v.expected:
			young = append(young, fmt.Sprintf("%s known for %s", name, ago(v.upSince)))
			continue
		case !v.goneAt.IsZero():
			lost = append(lost, fmt.Sprintf("%s for %s, gone for %s", name, ago(v.lostAt), ago(v.goneAt)))
		case !v.lostAt.IsZero():
			lost = append(lost, fmt.Sprintf("%s for %s", name, ago(v.lostAt)))
		}
		expected++
	}
	slices.Sort(lost)
	slices.Sort(young)
	text := fmt.Sprintf("%s, %d expected, %d lost", d.state, expected, len(lost))
	if len(lost) > 0 {
		text += " (" + strings.Join(lost, "; ") + ")"
	}
	if len(young) > 0 {
		text += ", not expected yet: " + strings.Join(young, "; ")
	}
	return text
}
