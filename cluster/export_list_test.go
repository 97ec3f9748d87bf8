package cluster

// HoldView takes the lock of the node's view until release is called.
func HoldView(n *Node) (release func()) {
	n.mu.Lock()
	return n.mu.Unlock
}

// ListSize returns how many members memberlist holds alive. It takes memberlist's
// own lock and not that of the node's view.
func ListSize(n *Node) int { return n.list.NumMembers() }

// ToldUpdate reports whether memberlist has told of a change that the node's view
// does not have yet.
func ToldUpdate(n *Node, id string) bool {
	n.inbox.mu.Lock()
	defer n.inbox.mu.Unlock()
	for _, c := range n.inbox.queue {
		if c.kind == listUpdate && c.id == id {
			return true
		}
	}
	return false
}
