package cluster

import "context"

// Known returns how many members the node's table has, shown or not.
func Known(n *Node) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.members)
}

// OnLeave makes the node's Leave wait for f before it says that it has left.
func OnLeave(n *Node, f func(context.Context)) { forWorkers{}.OnLeave(n, f) }

// AnswersPackets is how a registry of the node asks a late worker.
func AnswersPackets(n *Node, m Member) bool { return forWorkers{}.AnswersPackets(n, m) }
