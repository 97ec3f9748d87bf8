package members

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"
)

const (
	// TickInterval is the time between two [Tick] inputs.
	TickInterval = 100 * time.Millisecond
	// MaxMembers bounds the table: at that size the members that are gone longest are
	// forgotten before their time, since any member can invent others.
	MaxMembers = 20_000
	// rememberGone is how long a member that is gone for good is remembered, so that
	// late gossip of it makes no events.
	rememberGone = 5 * time.Minute
)

// A Config says how a table decides. All durations are required.
type Config struct {
	// Self is this node's id and Addr its address.
	Self, Addr string
	// NamesBound says that names are bound to certificates: a member is shown only
	// when its certificate has been seen.
	NamesBound bool
	// First says that this node has joined at once, as the first of its cluster.
	First bool
	// ExpectNodes is how many members must be in the view for [Joined]; 0: two.
	ExpectNodes int
	// ProbeInterval is the time between two probes of memberlist.
	ProbeInterval time.Duration
	// ReconnectFor is how long a failed member is remembered.
	ReconnectFor time.Duration
	// ForgetAfter is how long a lost member counts as expected while no partition is
	// suspected.
	ForgetAfter time.Duration
	// PartitionWindow is the time within which losses count as one, PartitionStable
	// how long the picture must rest before a partition is named (0: by size), and
	// PartitionBaseline how long a node must be known before it is expected.
	PartitionWindow, PartitionStable, PartitionBaseline time.Duration
}

// A Table is what a node holds of the members of its cluster. Only Step changes it. Its
// methods must not be called at the same time: the caller's lock guards it. Its
// iterators must end before the next call; the rest of what it returns is the caller's.
type Table struct {
	cfg       Config
	name      string // this node's
	records   map[string]*record
	evicted   map[string]bool      // ids that are never shown, known or not
	questions map[string]*question // by address
	comparing int                  // Compares without an answer
	joined    bool                 // enough members have been in the view
	digest    uint64               // the sum of the hashes of the listed ids
	changed   time.Time            // last change of what memberlist holds alive
	lastLoss  time.Time            // last time that a member left the view
	second    time.Time            // when what is due once a second was done last
	minute    time.Time            // likewise
	own       condition            // of this node itself
	split     split                // what is known of a partition
	effects   []Effect             // of the Step under way
	version   uint64               // see Version
}

// New returns the table of a node that knows no member yet.
func New(cfg Config) *Table {
	name, _, _ := SplitID(cfg.Self)
	return &Table{
		cfg: cfg, name: name, joined: cfg.First,
		records:   map[string]*record{},
		evicted:   map[string]bool{},
		questions: map[string]*question{},
		split:     newSplit(&cfg),
	}
}

// Step takes one input and returns what is to be done about it, in order. The caller owns
// the slice. now must not go back.
func (t *Table) Step(in Input, now time.Time) []Effect {
	in.apply(t, now)
	effects := t.effects
	t.effects = nil
	// A node steps the table many times a second when nothing happens: a tick, and an
	// answer to a probe, have changed nothing to see if nothing follows from them.
	switch in.(type) {
	case Tick, Answered:
		if len(effects) == 0 {
			return nil
		}
	}
	t.version++
	return effects
}

// Version returns a number that grows when the members, or what is known of them, can
// have changed.
func (t *Table) Version() uint64 { return t.version }

// do adds an effect to those of the Step under way.
func (t *Table) do(e Effect) { t.effects = append(t.effects, e) }

// emit adds an event to the effects of the Step under way.
func (t *Table) emit(e Event, now time.Time) {
	e.Time = now
	t.do(e)
}

// find returns the records that match, in the order of their ids.
func (t *Table) find(match func(*record) bool) []*record {
	var found []*record
	for _, r := range t.records {
		if match(r) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, byID)
	return found
}

// byID orders records by name and boot. Effects for several members come in this order, so
// that the same inputs always make the same effects.
func byID(a, b *record) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Boot, b.Boot))
}

// isSelf reports whether a record is this node's own. The names are compared first, since
// an id is made by concatenation and this is asked often.
func (t *Table) isSelf(r *record) bool { return r.Name == t.name && r.ID() == t.cfg.Self }

// Shown returns the members that events have told of, in any order: those present,
// and those that left or failed and are not forgotten yet.
func (t *Table) Shown() iter.Seq[Member] {
	return func(yield func(Member) bool) {
		for _, r := range t.records {
			if !r.unannounced && !yield(r.Member) {
				return
			}
		}
	}
}

// Get returns a member, shown or not.
func (t *Table) Get(id string) (m Member, ok bool) {
	if r := t.records[id]; r != nil {
		return r.Member, true
	}
	return m, false
}

// Best returns the shown member of a name; of several, the newest boot that is present,
// or else the newest that is gone.
func (t *Table) Best(name string) (m Member, ok bool) {
	for _, r := range t.records {
		if r.Name != name || r.unannounced {
			continue
		}
		if !ok || better(&r.Member, &m) {
			m, ok = r.Member, true
		}
	}
	return m, ok
}

// better reports whether a is rather what a name means than b: a present boot before
// one that is gone, a newer before an older.
func better(a, b *Member) bool {
	if a.State.Present() != b.State.Present() {
		return a.State.Present()
	}
	return a.Boot > b.Boot
}

// Size returns how many members the table knows, shown or not.
func (t *Table) Size() int { return len(t.records) }

// Addresses returns about how many addresses it is open who answers there, and the
// most that there can be.
func (t *Table) Addresses() (n, limit int) { return len(t.questions), maxQuestions }

// Counts returns how many members are shown in each state.
func (t *Table) Counts() (counts [NumStates]int) {
	for _, r := range t.records {
		if !r.unannounced {
			counts[r.State]++
		}
	}
	return counts
}

// Joined reports whether enough members have been in the view.
func (t *Table) Joined() bool { return t.joined }

// Health returns memberlist's score of this node, as the last [Tick] reported it.
func (t *Table) Health() int { return t.own.health }

// Unsure reports whether this node has reason to mistrust silence: its health is bad,
// or it did not run lately.
func (t *Table) Unsure(now time.Time) bool { return t.own.unsure(now) }

// Digest returns a hash of the members that gossip holds alive, which is the same on
// two nodes whose gossip agrees.
func (t *Table) Digest() uint64 { return t.digest }

// Changed returns when gossip last began or ceased to hold a member alive.
func (t *Table) Changed() time.Time { return t.changed }

// LastLoss returns when a member last ceased to be present.
func (t *Table) LastLoss() time.Time { return t.lastLoss }

// Listed returns the members that gossip holds alive, in any order, this node among
// them.
func (t *Table) Listed() iter.Seq[Member] {
	return func(yield func(Member) bool) {
		for _, r := range t.records {
			if r.listed && !yield(r.Member) {
				return
			}
		}
	}
}

// Settled reports whether there is no need to exchange state with a member that showed up:
// gossip holds it alive, or it is gone for good, and shows up because it does not know.
func (t *Table) Settled(id string) bool {
	r := t.records[id]
	return r != nil && (r.listed || r.final() || r.replaced)
}

// Holds reports whether gossip holds the member alive.
func (t *Table) Holds(id string) bool { return t.records[id] != nil && t.records[id].listed }

// InDoubt reports whether a [Verify] of the member is still of use: it is present,
// and gossip does not hold it alive.
func (t *Table) InDoubt(id string) bool {
	r := t.records[id]
	return r != nil && !r.listed && r.State.Present()
}

// Reconnectable returns the failed members that may come back, sorted by id, and how many
// members gossip holds alive. A member of which a newer boot is present, that has said that
// it left, or at whose address another boot answers does not come back; one that gossip
// lists is reached by gossip.
func (t *Table) Reconnectable() (failed []Member, alive int) {
	newest := t.newest()
	for _, r := range t.find(func(r *record) bool {
		if r.listed {
			alive++
		}
		return !r.listed && r.State == StateFailed && !r.replaced && !r.hasLeft && !r.unannounced && newest[r.Name] <= r.Boot
	}) {
		failed = append(failed, r.Member)
	}
	return failed, alive
}

// newest returns the newest present boot of each name.
func (t *Table) newest() map[string]string {
	boots := make(map[string]string, len(t.records))
	for _, r := range t.records {
		if r.State.Present() && r.Boot > boots[r.Name] {
			boots[r.Name] = r.Boot
		}
	}
	return boots
}
