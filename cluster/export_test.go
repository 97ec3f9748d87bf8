package cluster

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster/internal/members"
)

// The limit of tags, and its error.
const MaxTagsSize = maxTagsSize

var ErrTagsTooLarge = errTagsTooLarge

// ErrStopped is what changes return after Close or Leave.
var ErrStopped = errStopped

// Expected returns how many names the node's partition detector counts as
// stable.
func Expected(n *Node) (c int) {
	n.view.with(func(t *members.Table) { c = t.Expected(time.Now()) })
	return c
}

// Listed reports whether memberlist holds the member alive.
func Listed(n *Node, id string) (is bool) {
	n.view.with(func(t *members.Table) { is = t.Holds(id) })
	return is
}

// Known returns how many members the node's table has, shown or not.
func Known(n *Node) (c int) {
	n.view.with(func(t *members.Table) { c = t.Size() })
	return c
}

// MembersFileHas returns nil if the file has the address.
func MembersFileHas(file, addr string) error {
	b, err := os.ReadFile(file)
	if err == nil && !strings.Contains(string(b), addr) {
		err = fmt.Errorf("no %s in %s", addr, b)
	}
	return err
}

// HoldView takes the lock of the node's view until release is called.
func HoldView(n *Node) (release func()) {
	n.view.mu.Lock()
	return n.view.mu.Unlock
}

// ListSize returns how many members memberlist holds alive. It takes memberlist's
// own lock and not that of the node's view.
func ListSize(n *Node) int { return n.list.NumMembers() }

// ToldUpdate reports whether memberlist has told of a change that the node's view
// does not have yet.
func ToldUpdate(n *Node, id string) bool {
	n.inbox.mu.Lock()
	defer n.inbox.mu.Unlock()
	for _, in := range n.inbox.queue {
		if u, ok := in.(members.Updated); ok && u.ID == id {
			return true
		}
	}
	return false
}

// OnLeave makes the node's Leave wait for f before it says that it has left.
func OnLeave(n *Node, f func(context.Context)) { forWorkers{}.OnLeave(n, f) }

// Ping is how a registry of the node asks a late worker.
func Ping(n *Node, m Member) bool { return forWorkers{}.Ping(n, m) }
