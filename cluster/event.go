package cluster

import (
	"fmt"
	"strings"
	"time"
)

// A Kind says what an [Event] reports. Later versions may add kinds: ignore those that you
// do not know.
type Kind uint8

// The kinds of events. The first seven are about a member, the others about this node or
// the cluster.
const (
	// KindNodeJoined: a member is new in the view. A [Node.Watch] begins with one of
	// these for each member present, with Initial set.
	KindNodeJoined Kind = iota
	// KindNodeUpdated: the member's tags or address have changed, or it has announced
	// that it will leave (its state is then [StateLeaving]), or it has taken that back.
	KindNodeUpdated
	// KindNodeSuspected: this node has evidence that the member does not answer. Cause
	// says which.
	KindNodeSuspected
	// KindNodeRecovered: a suspected or failed member, the same boot, answers again, or
	// one that was said to have left refutes it. Duration says how long it was away.
	KindNodeRecovered
	// KindNodeLeft: the member has left in good order.
	KindNodeLeft
	// KindNodeFailed: the member is gone, and did not announce it. Cause says how that is
	// known.
	KindNodeFailed
	// KindNameConflict: two live processes have the name of Member; the other one is Was.
	// Routing prefers the newer boot.
	KindNameConflict
	// KindSelfDegraded: this node itself cannot keep up or is cut off. Health is
	// memberlist's score, 0 when the node is well again.
	KindSelfDegraded
	// KindPartitionSuspected: a large part of the cluster was lost at once, or this node
	// hears no other. Partition has the details known so far.
	KindPartitionSuspected
	// KindPartitionDetected: the loss is stable. Partition says on which side this node
	// is. It is reported again if the side or the lost nodes change for good.
	KindPartitionDetected
	// KindPartitionHealed: the sides see each other again, or the lost nodes are known to
	// have crashed or left. Partition says which came back.
	KindPartitionHealed
	// KindResync: the subscriber read too slowly and missed events. Members is the whole
	// view: replace what was known before by it.
	KindResync
)

var kindNames = [...]string{
	"NodeJoined", "NodeUpdated", "NodeSuspected", "NodeRecovered", "NodeLeft", "NodeFailed", "NameConflict",
	"SelfDegraded", "PartitionSuspected", "PartitionDetected", "PartitionHealed", "Resync",
}

// String returns the name of the constant without Kind: "NodeJoined".
func (k Kind) String() string { return nameOf(kindNames[:], int(k)) }

// MarshalText returns the text of String, also for JSON.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the text of String. An unknown one is an error.
func (k *Kind) UnmarshalText(b []byte) (err error) {
	*k, err = named[Kind](kindNames[:], b)
	return err
}

// An Event is one change of a node's view of the cluster. Events are values;
// what they point to is shared and must not be changed.
type Event struct {
	// Seq numbers the events of one Node from 1. A subscriber sees them in
	// order and without gaps, except across a KindResync, and the Initial ones,
	// which all carry the number of the last event before the subscription.
	Seq uint64 `json:"seq"`
	// Time is when this node saw it.
	Time time.Time `json:"time"`
	// Kind says what happened.
	Kind Kind `json:"kind"`
	// Member is the member as it is now; zero for events about the cluster.
	Member Member `json:"member,omitzero"`
	// Was is the member as it was before; for KindNameConflict the other member.
	// Zero if there was none.
	Was Member `json:"was,omitzero"`
	// Cause is how a suspicion or a failure is known; "" for other events. Later
	// versions may add causes.
	//
	//   - "detected": the members agreed that it is dead (SWIM);
	//   - "refused": its address refuses connections, so its process is gone;
	//   - "replaced": another boot answers at its address;
	//   - "phi": its heartbeats are late;
	//   - "stream": its control connection broke;
	//   - "probe": it did not answer this node's probes, direct or indirect;
	//   - "evicted": [Node.Evict] was called for it.
	Cause string `json:"cause,omitempty"`
	// Phi is the suspicion level with the cause "phi".
	Phi float64 `json:"phi,omitempty"`
	// Duration is how long what ended had lasted: the suspicion or failure
	// before KindNodeRecovered, the partition before KindPartitionHealed.
	Duration time.Duration `json:"duration,omitempty"`
	// Health is memberlist's health score of this node, 0 (well) to 7, with
	// KindSelfDegraded and KindPartitionSuspected.
	Health int `json:"health,omitempty"`
	// Initial marks the events that begin a subscription.
	Initial bool `json:"initial,omitempty"`
	// Partition describes a partition event; else nil.
	Partition *Partition `json:"partition,omitempty"`
	// Members is the whole view, with KindResync only.
	Members []Member `json:"members,omitempty"`
}

// String returns the event as one line of text without time.
func (e Event) String() string {
	var b strings.Builder
	b.WriteString(e.Kind.String())
	if e.Cause != "" {
		fmt.Fprintf(&b, "{%s}", e.Cause)
	}
	if e.Member.Name != "" {
		fmt.Fprintf(&b, " %s (%s) at %s", e.Member.Name, e.Member.Boot, e.Member.Addr)
	}
	switch e.Kind {
	case KindNodeJoined, KindNodeUpdated:
		if len(e.Member.Tags) > 0 {
			b.WriteString(" " + e.Member.Tags.String())
		}
		if e.Member.State == StateLeaving {
			b.WriteString(" leaving")
		}
	case KindNodeSuspected:
		if e.Phi > 0 {
			fmt.Fprintf(&b, " phi=%.1f", e.Phi)
		}
	case KindNodeRecovered:
		fmt.Fprintf(&b, " after %v", e.Duration.Round(time.Millisecond))
	case KindNameConflict:
		fmt.Fprintf(&b, ", also %s at %s", e.Was.Boot, e.Was.Addr)
	case KindSelfDegraded:
		fmt.Fprintf(&b, " health=%d", e.Health)
	case KindPartitionSuspected, KindPartitionDetected, KindPartitionHealed:
		if e.Partition != nil {
			b.WriteString(" " + e.Partition.String())
		}
	case KindResync:
		fmt.Fprintf(&b, " %d members", len(e.Members))
	}
	return b.String()
}

// A Partition is what is known of a split of the cluster. Nodes are named by
// name, since a node may come back with another boot.
type Partition struct {
	// Side is where this node stands: "majority" with more than half of the
	// expected nodes, or with half of them and the lowest name of all; "minority"
	// with fewer; "isolated" if it is alone; "unknown" until that is decided.
	Side string `json:"side"`
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
	// Returned and Missing are, with KindPartitionHealed, who came back and who did
	// not.
	Returned []string `json:"returned,omitempty"`
	Missing  []string `json:"missing,omitempty"`
	// Duration is, with KindPartitionHealed, how long it took.
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
