// Package role has the roles that a certificate gives in a cluster. Users
// set rules for roles in rpcnet.Roles; packages of this module ask for them.
package role

import "fmt"

// A Role is a role in a cluster.
type Role uint8

// The roles.
const (
	// Client makes calls. It is the role that every procedure of a user's server
	// asks for.
	Client Role = iota
	// Node is a member of the cluster: it gossips.
	Node
	// Worker is a node that runs calls.
	Worker
	// Director is a node that chooses among workers: it watches their load and
	// gives them to callers.
	Director
	// Admin may read the cluster's state and change it.
	Admin

	// Count is the number of roles.
	Count
)

// Names are the names of the roles, by their numbers.
var Names = [Count]string{"client", "node", "worker", "director", "admin"}

// String returns the role's name.
func (r Role) String() string {
	if r < Count {
		return Names[r]
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}
