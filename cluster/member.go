package cluster

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// A State is what this node holds of a member. It changes so:
//
//	alive            -> suspect   this node has evidence that it does not answer
//	suspect          -> alive     it answers
//	alive, suspect   -> leaving   it announces that it will leave
//	leaving          -> left      it has left
//	any of the three -> failed    the members agree that it is dead, or this node has proof
//	failed           -> alive     the same boot answers again, after a partition
//
// A member that has left or failed is forgotten after a while: see [Node.Gone].
type State uint8

// The states of a member.
const (
	// StateAlive: it answers.
	StateAlive State = iota
	// StateSuspect: it is in the view, but this node has evidence of its own
	// that it does not answer. Do not send it new work.
	StateSuspect
	// StateLeaving: it has said that it will leave. Do not send it new work.
	StateLeaving
	// StateLeft: it has left in good order. Final if it said so itself. If only
	// gossip did, and the member refutes it, it comes back (KindNodeRecovered).
	StateLeft
	// StateFailed: it is gone, and did not announce it. The same boot can come back
	// after a partition.
	StateFailed
)

var stateNames = [...]string{"alive", "suspect", "leaving", "left", "failed"}

// String returns "alive", "suspect", "leaving", "left" or "failed".
func (s State) String() string { return nameOf(stateNames[:], int(s)) }

// MarshalText returns the text of String, also for JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the text of String. An unknown one is an error.
func (s *State) UnmarshalText(b []byte) (err error) {
	*s, err = named[State](stateNames[:], b)
	return err
}

// Present reports whether a member in this state belongs to the view: alive,
// suspect or leaving.
func (s State) Present() bool { return s <= StateLeaving }

// A Member is one life of a node, as this node sees it: a snapshot, comparable
// by [Member.ID].
type Member struct {
	// Name is the name the node was given.
	Name string `json:"name"`
	// Boot tells this life of the node from its earlier and later ones. Boots
	// of one name sort by time.
	Boot string `json:"boot"`
	// Addr is the host:port where the node is called and gossips.
	Addr string `json:"addr"`
	// ServerName is the name that the node's certificate is to carry, as the node
	// itself says: a DNS name or a SPIFFE id. Empty: the certificate carries the
	// address.
	ServerName string `json:"server_name,omitempty"`
	// Tags are the node's tags. They must not be changed.
	Tags Tags `json:"tags,omitempty"`
	// State is what this node holds of it.
	State State `json:"state"`
	// Since is when this node last saw State change.
	Since time.Time `json:"since"`
	// Joined is when this node first saw this boot.
	Joined time.Time `json:"joined"`
}

// ID returns the name this life of the node has in gossip, "name@boot".
func (m Member) ID() string { return m.Name + "@" + m.Boot }

// String returns the name and the address.
func (m Member) String() string { return m.Name + " at " + m.Addr }

func compareMembers(a, b Member) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Boot, b.Boot))
}

// nameOf and named are the two directions of the text form of the package's
// enumerations.
func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("unknown(%d)", i)
}

func named[T ~uint8](names []string, b []byte) (T, error) {
	for i, n := range names {
		if n == string(b) {
			return T(i), nil
		}
	}
	return 0, fmt.Errorf("cluster: unknown name %q, want one of %s", b, strings.Join(names, ", "))
}
