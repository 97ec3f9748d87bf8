package members

import (
	"strings"
	"time"
)

// A State is what this node holds of a member.
type State uint8

// The states of a member.
const (
	// StateAlive means that it answers.
	StateAlive State = iota
	// StateSuspect means that this node has evidence that it does not answer.
	StateSuspect
	// StateLeaving means that it says it will leave.
	StateLeaving
	// StateLeft means that it left in good order.
	StateLeft
	// StateFailed means that it is gone without having left.
	StateFailed
)

// NumStates is the number of states.
const NumStates = int(StateFailed) + 1

// Present reports whether a member in this state belongs to the view: alive,
// suspect or leaving.
func (s State) Present() bool { return s <= StateLeaving }

// A Member is one life of a node, as this node sees it.
type Member struct {
	// Name is the node's name, Boot tells this life of it from others. Boots of one
	// name sort by time.
	Name, Boot string
	// Addr is where it is called and gossips.
	Addr string
	// ServerName is the name that its certificate carries in place of the address.
	ServerName string
	// Tags must not be changed.
	Tags map[string]string
	// State is what this node holds of it.
	State State
	// Since is when State last changed, Joined when this boot was first heard of.
	Since, Joined time.Time
}

// ID returns "name@boot".
func (m Member) ID() string { return m.Name + "@" + m.Boot }

// SplitID is the reverse of [Member.ID]. It reports false if a part is empty.
func SplitID(id string) (name, boot string, ok bool) {
	i := strings.LastIndexByte(id, '@')
	if i <= 0 || i == len(id)-1 {
		return "", "", false
	}
	return id[:i], id[i+1:], true
}

// A record is what the table keeps of one member beside what it shows. Its states, and
// what moves it between them:
//
//	(new)          -(gossip lists it)-> alive
//	(new)          -(gossip lists it, and there is doubt)-> unannounced
//	unannounced    -(it answers at its address)-> alive
//	alive          -(evidence against it)-> suspect
//	suspect        -(evidence taken back, or it answers)-> alive
//	alive, suspect -(it says that it will leave, or gossip says so)-> leaving
//	leaving        -(a newer word takes back what gossip said)-> alive
//	alive, suspect -(gossip buries it, and it does not answer)-> failed
//	present        -(its address refuses, it was evicted)-> failed
//	alive, suspect -(another boot answers at its address)-> failed
//	leaving        -(gossip buries it, another boot answers)-> left
//	present        -(it says that it has left)-> left
//	failed         -(gossip lists it, and it answers)-> alive
//	left           -(it refutes what gossip said, and it answers)-> alive
//	failed, left   -(time)-> (forgotten)
//
// Present means alive, suspect or leaving. A member answers at its address, or to a
// probe: twice, if only this node failed it. One that said itself that it has left, or
// was evicted, is never present again.
//
// The state follows from the fields, by the first line that holds:
//
//	unannounced                           failed, and no event is made for it
//	hasLeft                               left, or failed if it had failed before
//	failed                                failed, even if gossip holds it alive
//	not listed, leaving or leftConfirmed  left
//	not listed, and verified              failed
//	leaving or leftConfirmed              leaving
//	suspectedBy any source                suspect
//	else                                  alive
type record struct {
	Member
	listed        bool   // memberlist holds it alive
	leaving       bool   // its meta says that it will leave: hearsay, taken back by a newer one
	leftConfirmed bool   // it said itself that it leaves, in a packet that only it can seal: final
	hasLeft       bool   // it said itself that it has left: it is never present again
	failed        bool   // this node knows better than memberlist
	replaced      bool   // another boot answers at its address, or it was evicted
	refused       bool   // its address refused a connection since it failed
	verifying     bool   // memberlist declared it dead, a Verify is under way
	unannounced   bool   // doubtful since it was first heard of: no events
	suspectedBy   source // the evidence against it
	claim         claim  // where it is said to be, though another is there
	answers       int    // probes answered since this node failed it
	goneSince     time.Time
	suspectedAt   time.Time
	probeFailed   time.Time // the last probe of this node's own that failed
	pinged        time.Time // when it was last asked because its probes failed
}

// A claim is an address that a present member is said to have moved to, and the name
// that its certificate carries in place of it.
type claim struct{ addr, serverName string }

// final reports whether the member said itself that it leaves, and has left.
func (r *record) final() bool { return r.State == StateLeft && r.leftConfirmed || r.hasLeft }

// derive returns the state of a listed member.
func (r *record) derive() State {
	switch {
	case r.leaving || r.leftConfirmed:
		return StateLeaving
	case r.suspectedBy != 0:
		return StateSuspect
	}
	return StateAlive
}

// A source is one kind of evidence against a member.
type source uint8

const (
	sourceRouting source = 1 << iota // callers that route: heartbeats, control streams
	sourceProbe                      // this node's own probes
)
