package cluster

// Known returns how many members the node's table has, shown or not.
func Known(n *Node) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.members)
}
