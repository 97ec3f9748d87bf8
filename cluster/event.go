package cluster

import (
	"fmt"
	"strings"
	"time"
)

// A Kind is what an [Event] tells.
type Kind uint8

// The kinds of events.
const (
	// NodeJoined: a member is new in the view. The first events of a
	// [Node.Watch] are one of these for each member present, with Initial set.
	NodeJoined Kind = iota
	// NodeUpdated: tags or address changed, or the member says it will leave
	// (its state is then [StateLeaving]), or refutes that it said so.
	NodeUpdated
	// NodeSuspected: this node has evidence that the member does not answer.
	NodeSuspected
	// NodeRecovered: a suspected or failed member, the same boot, answers again;
	// or one that was said to have left refutes it.
	NodeRecovered
	// NodeLeft: a member left in good order.
	NodeLeft
	// NodeFailed: a member is gone without a word; Cause says how it is known.
	NodeFailed
	// NameConflict: two live processes carry the name of Member; the other one
	// is Was. Routing prefers the newer boot.
	NameConflict
	// SelfDegraded: this node itself cannot keep up or is cut off; Health is
	// memberlist's score, 0 when it is well again.
	SelfDegraded
	// PartitionSuspected: a large part of the cluster was lost at once, or this
	// node hears nobody. Partition has the details known so far.
	PartitionSuspected
	// PartitionDetected: the loss is stable; Partition says which side this
	// node is on.
	PartitionDetected
	// PartitionHealed: the sides see each other again, or the lost are known to
	// have crashed or left.
	PartitionHealed
	// Resync: the subscriber read too slowly and missed events; Members is the
	// whole view instead. What was known before is to be replaced by it.
	Resync
)

var kindNames = [...]string{
	"NodeJoined", "NodeUpdated", "NodeSuspected", "NodeRecovered", "NodeLeft", "NodeFailed", "NameConflict",
	"SelfDegraded", "PartitionSuspected", "PartitionDetected", "PartitionHealed", "Resync",
}

// String returns the name of the constant.
func (k Kind) String() string { return nameOf(kindNames[:], int(k)) }

// MarshalText encodes the name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText decodes the name.
func (k *Kind) UnmarshalText(b []byte) (err error) {
	*k, err = named[Kind](kindNames[:], b)
	return err
}

// A Cause is how something about a member is known.
type Cause uint8

// The causes.
const (
	// CauseNone: the event needs none.
	CauseNone Cause = iota
	// CauseDetected: the members agreed that it is dead (SWIM).
	CauseDetected
	// CauseRefused: its address refuses connections: the process is gone.
	CauseRefused
	// CauseReplaced: another boot answers at its address.
	CauseReplaced
	// CausePhi: its heartbeats are late.
	CausePhi
	// CauseStream: its control stream broke.
	CauseStream
	// CauseProbe: it did not answer this node's probes, direct or indirect.
	CauseProbe
	// CauseEvicted: [Node.Evict] was called for it.
	CauseEvicted
)

var causeNames = [...]string{"", "detected", "refused", "replaced", "phi", "stream", "probe", "evicted"}

// String returns the name of the cause in lower case; CauseNone is "".
func (c Cause) String() string { return nameOf(causeNames[:], int(c)) }

// MarshalText encodes the name.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText decodes the name.
func (c *Cause) UnmarshalText(b []byte) (err error) {
	*c, err = named[Cause](causeNames[:], b)
	return err
}

// An Event is one change of a node's view of the cluster. Events are values;
// what they point to is shared and must not be changed.
type Event struct {
	// Seq numbers the events of one Node from 1. A subscriber sees them in
	// order and without gaps, except across a Resync, and the Initial ones,
	// which all carry the number of the last event before the subscription.
	Seq uint64 `json:"seq"`
	// Time is when this node saw it.
	Time time.Time `json:"time"`
	// Kind says what happened.
	Kind Kind `json:"kind"`
	// Member is the member as it is now; zero for events about the cluster.
	Member Member `json:"member,omitzero"`
	// Was is the member as it was before; for NameConflict the other member.
	// Zero if there was none.
	Was Member `json:"was,omitzero"`
	// Cause is how it is known.
	Cause Cause `json:"cause,omitempty"`
	// Phi is the suspicion level behind CausePhi.
	Phi float64 `json:"phi,omitempty"`
	// Duration is how long what ended had lasted: the suspicion or failure
	// before NodeRecovered, the partition before PartitionHealed.
	Duration time.Duration `json:"duration,omitempty"`
	// Health is memberlist's health score of this node, 0 (well) to 7, with
	// SelfDegraded and PartitionSuspected.
	Health int `json:"health,omitempty"`
	// Initial marks the events that begin a subscription.
	Initial bool `json:"initial,omitempty"`
	// Partition describes a partition event; else nil.
	Partition *Partition `json:"partition,omitempty"`
	// Members is the whole view, with Resync only.
	Members []Member `json:"members,omitempty"`
}

// String returns the event as one line of text without time.
func (e Event) String() string {
	var b strings.Builder
	b.WriteString(e.Kind.String())
	if e.Cause != CauseNone {
		fmt.Fprintf(&b, "{%s}", e.Cause)
	}
	if e.Member.Name != "" {
		fmt.Fprintf(&b, " %s (%s) at %s", e.Member.Name, e.Member.Boot, e.Member.Addr)
	}
	switch e.Kind {
	case NodeJoined, NodeUpdated:
		if len(e.Member.Tags) > 0 {
			b.WriteString(" " + e.Member.Tags.String())
		}
		if e.Member.State == StateLeaving {
			b.WriteString(" leaving")
		}
	case NodeSuspected:
		if e.Phi > 0 {
			fmt.Fprintf(&b, " phi=%.1f", e.Phi)
		}
	case NodeRecovered:
		fmt.Fprintf(&b, " after %v", e.Duration.Round(time.Millisecond))
	case NameConflict:
		fmt.Fprintf(&b, ", also %s at %s", e.Was.Boot, e.Was.Addr)
	case SelfDegraded:
		fmt.Fprintf(&b, " health=%d", e.Health)
	case PartitionSuspected, PartitionDetected, PartitionHealed:
		if e.Partition != nil {
			b.WriteString(" " + e.Partition.String())
		}
	case Resync:
		fmt.Fprintf(&b, " %d members", len(e.Members))
	}
	return b.String()
}

// A Side is where this node stands in a partition.
type Side uint8

// The sides.
const (
	// SideUnknown: not decided yet.
	SideUnknown Side = iota
	// SideMajority: with more than half of the nodes, or with half of them and
	// the lowest name.
	SideMajority
	// SideMinority: with fewer.
	SideMinority
	// SideIsolated: alone.
	SideIsolated
)

var sideNames = [...]string{"unknown", "majority", "minority", "isolated"}

// String returns "unknown", "majority", "minority" or "isolated".
func (s Side) String() string { return nameOf(sideNames[:], int(s)) }

// MarshalText encodes the name.
func (s Side) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText decodes the name.
func (s *Side) UnmarshalText(b []byte) (err error) {
	*s, err = named[Side](sideNames[:], b)
	return err
}

// A Partition is what is known of a split of the cluster. Nodes are named by
// name, since a node may come back with another boot.
type Partition struct {
	// Side is where this node stands.
	Side Side `json:"side"`
	// Expected is how many nodes were known to be stable before.
	Expected int `json:"expected"`
	// Reachable are the names of those on this side, this node among them.
	Reachable []string `json:"reachable,omitempty"`
	// Lost are the names of those on the other.
	Lost []string `json:"lost,omitempty"`
	// Common is what all lost nodes have in common and no reachable one has,
	// such as "zone=b"; "" if nothing.
	Common string `json:"common,omitempty"`
	// Since is when the loss began.
	Since time.Time `json:"since"`
	// Returned and Missing are, with PartitionHealed, who came back and who did
	// not.
	Returned []string `json:"returned,omitempty"`
	Missing  []string `json:"missing,omitempty"`
	// Duration is, with PartitionHealed, how long it took.
	Duration time.Duration `json:"duration,omitempty"`
}

// String returns the partition as a phrase.
func (p *Partition) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "side=%s reachable=%d lost=%d expected=%d", p.Side, len(p.Reachable), len(p.Lost), p.Expected)
	if p.Common != "" {
		fmt.Fprintf(&b, ", all lost have %s", p.Common)
	}
	if p.Duration > 0 {
		fmt.Fprintf(&b, " after %v, %d returned, %d missing", p.Duration.Round(time.Millisecond), len(p.Returned), len(p.Missing))
	}
	return b.String()
}
