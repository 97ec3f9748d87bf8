package cluster

import (
	"slices"

	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/cluster/internal/members"
)

// A node that routes calls knows sooner than gossip when a member does not answer. These
// methods feed that knowledge into this node's view, where it shows as the same
// events that gossip causes, each once. They change this node's view alone:
// nothing of it is gossiped, and the other members judge for themselves.

// Suspect reports that the member does not seem to answer. phi is the suspicion
// level if its heartbeats are late (the event's cause is then "phi"), and 0 if its
// control connection broke ("stream"). An alive member becomes StateSuspect, with
// a KindNodeSuspected event, until [Node.Recover] or until it is gone. Suspect
// returns whether that happened: it does not if the member is unknown, gone,
// suspect already, or this node itself.
func (n *Node) Suspect(name, boot string, phi float64) bool {
	cause := members.CausePhi
	if phi == 0 {
		cause = members.CauseStream
	}
	kinds := n.view.judge(members.Evidence{ID: name + "@" + boot, Cause: cause, Phi: phi})
	return slices.Contains(kinds, members.KindNodeSuspected)
}

// Recover takes back what [Node.Suspect] or [Node.ReportUnreachable] said. If
// nothing else speaks against the member and gossip still holds it alive, it
// becomes StateAlive with a KindNodeRecovered event. It reports whether that
// happened.
func (n *Node) Recover(name, boot string) bool {
	kinds := n.view.judge(members.Cleared{ID: name + "@" + boot})
	return slices.Contains(kinds, members.KindNodeRecovered)
}

// ReportUnreachable reports that the member is gone beyond doubt: its address
// refuses connections. The member becomes StateFailed, with a KindNodeFailed event
// of the cause "refused", without waiting for the other members; what gossip says
// of its death later causes no second event. If the member then answers two of
// this node's probes, or gossip hears it refute, it is taken back with
// KindNodeRecovered. ReportUnreachable returns whether the member became
// StateFailed.
func (n *Node) ReportUnreachable(name, boot string) bool {
	return n.reportGone(name, boot, members.CauseRefused)
}

// ReportReplaced reports that another boot answers at the member's address: the
// member becomes StateFailed as with [Node.ReportUnreachable], of the cause
// "replaced", and is not taken back.
func (n *Node) ReportReplaced(name, boot string) bool {
	return n.reportGone(name, boot, members.CauseReplaced)
}

// reportGone reports that the member is gone beyond doubt, of that cause.
func (n *Node) reportGone(name, boot, cause string) bool {
	kinds := n.view.judge(members.Unreachable{ID: name + "@" + boot, Cause: cause})
	return slices.Contains(kinds, members.KindNodeFailed)
}

// Evict shuts a member out of this node for good, by name and boot, whether or
// not this node has heard of it: its keys are dropped, its gossip connections
// closed, its packets and hellos refused, and what others gossip of it ignored.
// If it is present here it is NodeFailed{evicted}. Sessions for calls are not the
// membership's: those that it holds on the endpoint stay until either side closes
// them. Evict reports false only for this node itself, for what is no name and
// boot, and after Close.
//
// Evict it on every node; a new boot of it is a new member, which only its
// certificate keeps out (rpcnet.EndpointConfig.Authorize) or Config.VerifyNode.
func (n *Node) Evict(name, boot string) bool {
	id := name + "@" + boot
	if id == n.id || !gossip.ValidID(id) || n.life.stopping() {
		return false
	}
	n.transport.Evict(id)
	n.view.judge(members.Evicted{ID: id})
	return true
}
