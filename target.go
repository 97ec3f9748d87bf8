package rpcnet

import (
	"fmt"
	"strings"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A Target is the node that a connection is for, or that an endpoint is: names
// of at most 128 bytes each. Empty fields are not compared.
type Target struct {
	// Cluster is the name of the cluster.
	Cluster string
	// Node is the name of the node.
	Node string
	// Boot tells the lives of a node apart.
	Boot string
}

// String returns the target in words.
func (t Target) String() string {
	var parts []string
	if t.Node != "" {
		parts = append(parts, fmt.Sprintf("node %q", t.Node))
	}
	if t.Boot != "" {
		parts = append(parts, "boot "+t.Boot)
	}
	if t.Cluster != "" {
		parts = append(parts, fmt.Sprintf("cluster %q", t.Cluster))
	}
	if parts == nil {
		return "no node of a cluster"
	}
	return strings.Join(parts, ", ")
}

func (t Target) validate() error {
	for _, part := range [...]string{t.Cluster, t.Node, t.Boot} {
		if len(part) > wire.MaxIdentity {
			return fmt.Errorf("rpcnet: a target with a name of %d bytes: want at most %d", len(part), wire.MaxIdentity)
		}
	}
	return nil
}

// wire returns the target as sessions tell it.
func (t Target) wire() wire.Identity { return wire.Identity(t) }

// check returns an error if got is not the node that t asks for.
func (t Target) check(got Target) error {
	differ := func(want, got string) bool { return want != "" && want != got }
	if differ(t.Cluster, got.Cluster) || differ(t.Node, got.Node) || differ(t.Boot, got.Boot) {
		return fmt.Errorf("%s answers, want %s", got, t)
	}
	return nil
}

// checkTarget refuses a session whose caller wants another node than this one.
func (ep *Endpoint) checkTarget(want wire.Identity) error {
	self := ep.wired.Load().identity
	if err := Target(want).check(self); err != nil {
		return fmt.Errorf("this is %s, the caller wants %s", self, Target(want))
	}
	return nil
}
