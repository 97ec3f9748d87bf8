package members

import "time"

// A Kind is what an [Event] reports.
type Kind uint8

// The kinds of events.
const (
	KindNodeJoined         Kind = iota // the member is new in the view
	KindNodeUpdated                    // tags, address or its wish to leave changed
	KindNodeSuspected                  // this node has evidence against the member
	KindNodeRecovered                  // a suspect, failed or left member answers again
	KindNodeLeft                       // the member left in good order
	KindNodeFailed                     // the member is gone without having left
	KindNameConflict                   // two live processes carry the name of Member; Was is the older
	KindSelfDegraded                   // this node cannot keep up, or is well again
	KindPartitionSuspected             // a large part of the cluster was lost at once
	KindPartitionDetected              // the loss is stable
	KindPartitionHealed                // the lost are back, or known to be gone
)

// What [Event].Cause says: how a suspicion or a failure is known.
const (
	CauseDetected = "detected" // the members agreed that it is dead
	CauseRefused  = "refused"  // its address refuses connections
	CauseReplaced = "replaced" // another boot answers at its address
	CausePhi      = "phi"      // its heartbeats are late
	CauseStream   = "stream"   // its control stream broke
	CauseProbe    = "probe"    // it did not answer this node's probes
	CauseEvicted  = "evicted"  // it was evicted
)

// What [Partition].Side says: where this node stands.
const (
	SideUnknown  = "unknown"  // not decided yet
	SideMajority = "majority" // with more than half, or with half and the lowest name
	SideMinority = "minority" // with fewer
	SideIsolated = "isolated" // alone
)

// A Partition is what is known of a split of the cluster, by names of nodes.
type Partition struct {
	// Side is where this node stands.
	Side string
	// Expected is how many nodes were known to be stable before.
	Expected int
	// Reachable are those on this side, sorted.
	Reachable []string
	// Lost are those on the other, sorted.
	Lost []string
	// Common is a tag that all lost nodes have and no reachable one, or "".
	Common string
	// Since is when the loss began.
	Since time.Time
	// Returned and Missing are, when it has healed, those that came back and those that
	// did not.
	Returned []string
	Missing  []string
	// Duration is, when it has healed, how long it took.
	Duration time.Duration
}

// An Event is one change of the view. It is an [Effect]: give it to those who watch. There
// is one for every change of a shown member, and none without a change, but for those
// about this node and about partitions.
type Event struct {
	Time time.Time
	Kind Kind
	// Member is the member as it is now, Was as it was before; zero if there is none.
	Member, Was Member
	Cause       string
	Phi         float64       // with CausePhi
	Duration    time.Duration // how long what has ended had lasted
	Health      int           // this node's, with KindSelfDegraded and partitions
	Partition   *Partition    // with partitions
}
