package cluster

import (
	"fmt"
	"os"
	"strings"
)

// The limit of tags, and its error.
const MaxTagsSize = maxTagsSize

var ErrTagsTooLarge = errTagsTooLarge

// ErrStopped is what changes return after Close or Leave.
var ErrStopped = errStopped

// Expected returns how many names the node's partition detector counts as
// stable.
func Expected(n *Node) (c int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, v := range n.detector.voters {
		if v.expected && v.lostAt.IsZero() {
			c++
		}
	}
	return c
}

// Listed reports whether memberlist holds the member alive.
func Listed(n *Node, id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.members[id] != nil && n.members[id].listed
}

// MembersFileHas returns nil if the file has the address.
func MembersFileHas(file, addr string) error {
	b, err := os.ReadFile(file)
	if err == nil && !strings.Contains(string(b), addr) {
		err = fmt.Errorf("no %s in %s", addr, b)
	}
	return err
}
