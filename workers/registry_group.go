package workers

import (
	"github.com/rpcnet-go/rpcnet/internal/load"

	"github.com/rpcnet-go/rpcnet/cluster"
)

// A group is a selector with the workers it chooses.
type group struct {
	selector cluster.Selector
	load     *load.Group
	owner    string // the caller that asked first
	used     uint64
	stale    bool
}

const (
	// maxGroups bounds the selectors remembered, maxGroupsEach those that one
	// caller of a director has brought: the least recently used of its own gives
	// way. One that asks for ever new selectors does not push out those of others.
	maxGroups     = 256
	maxGroupsEach = 32
)

// regroup makes all groups find their members again. The caller holds mu.
func (r *Registry) regroup() {
	for _, g := range r.groups {
		g.stale = true
	}
}

// group returns the group of a selector. caller is the identity of who asks, ""
// for this process. The caller holds mu.
func (r *Registry) group(selector, caller string) (*group, error) {
	g := r.groups[selector]
	if g == nil {
		s, err := cluster.ParseSelector(selector)
		if err != nil {
			return nil, err
		}
		r.makeRoom(caller)
		g = &group{selector: s, load: r.pool.NewGroup(r.cfg.Strategy), owner: caller, stale: true}
		r.groups[selector] = g
		r.owned[caller]++
	}
	r.uses++
	g.used = r.uses
	if g.stale {
		g.stale = false
		ws := make([]*load.Candidate, 0, r.pool.Len())
		for _, w := range r.pool.Workers() {
			if g.selector.Matches(w.Owner.(*worker).member.Tags) {
				ws = append(ws, w)
			}
		}
		g.load.Set(ws)
	}
	return g, nil
}

// makeRoom forgets a group if need be: of the caller's own when it has its share,
// otherwise of the one that has most. The caller holds mu.
func (r *Registry) makeRoom(caller string) {
	owner := caller
	switch {
	case caller != "" && r.owned[caller] >= maxGroupsEach:
	case len(r.groups) >= maxGroups:
		for o, n := range r.owned {
			if n > r.owned[owner] {
				owner = o
			}
		}
	default:
		return
	}
	oldest := ""
	var used uint64
	for name, g := range r.groups {
		if g.owner == owner && (used == 0 || g.used < used) {
			oldest, used = name, g.used
		}
	}
	delete(r.groups, oldest)
	if r.owned[owner]--; r.owned[owner] == 0 {
		delete(r.owned, owner)
	}
}
