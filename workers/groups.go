package workers

import (
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/load"
)

// A group is a selector with the workers that match it and the picker that chooses
// among them. All callers that ask with the same text share it, so that a rotation
// serves them in turn.
type group struct {
	selector cluster.Selector
	load     *load.Group
	owner    string // the caller that asked first
	used     uint64 // groups.uses at the last use
}

// groups are the selectors that callers have asked with, so that a choice need not
// match all workers again, and a strategy's rotation goes on. They belong to a
// [table], whose owner guards them.
type groups struct {
	bySelector map[string]*group
	owned      map[string]int // how many of them each caller has
	uses       uint64         // counts the uses of all, which orders them
}

const (
	// maxGroups bounds the selectors remembered, maxGroupsEach those that one
	// caller of a director has brought: the least recently used of its own gives
	// way. One that asks for ever new selectors does not push out those of others.
	maxGroups     = 256
	maxGroupsEach = 32
)

// place makes a worker a member of the groups whose selectors match its tags, and of no
// others. So one worker that joins or changes its tags costs a comparison for each
// selector, and no group has to find its members again.
func (gs *groups) place(w *worker) {
	for _, g := range gs.bySelector {
		if g.selector.Matches(w.member.Tags) {
			g.load.Insert(w.load)
		} else {
			g.load.Remove(w.load)
		}
	}
}

// group returns the group of a selector. caller is the identity of who asks, ""
// for this process. The error says what is wrong with the selector.
func (t *table) group(selector, caller string) (*group, error) {
	gs := &t.groups
	g := gs.bySelector[selector]
	if g == nil {
		s, err := cluster.ParseSelector(selector)
		if err != nil {
			return nil, err
		}
		gs.makeRoom(caller)
		g = &group{selector: s, load: t.pool.NewGroup(t.cfg.Strategy), owner: caller}
		gs.bySelector[selector] = g
		gs.owned[caller]++
		for _, w := range t.pool.Workers() {
			if s.Matches(w.Owner.(*worker).member.Tags) {
				g.load.Insert(w)
			}
		}
	}
	gs.uses++ // a clock that orders uses
	g.used = gs.uses
	return g, nil
}

// makeRoom forgets a group if there is no room for another: one of the caller's own if
// it has its share, otherwise one of the caller that has most. This process itself (the
// empty caller) has no share, since its selectors are in its program.
func (gs *groups) makeRoom(caller string) {
	owner := caller
	switch {
	case caller != "" && gs.owned[caller] >= maxGroupsEach:
	case len(gs.bySelector) >= maxGroups:
		for o, n := range gs.owned {
			if n > gs.owned[owner] {
				owner = o
			}
		}
	default:
		return
	}
	// The least recently used group of that owner; a linear search is enough, since a
	// new selector is rare.
	oldest := ""
	var used uint64
	for selector, g := range gs.bySelector {
		if g.owner == owner && (used == 0 || g.used < used) {
			oldest, used = selector, g.used
		}
	}
	gs.bySelector[oldest].load.Drop()
	delete(gs.bySelector, oldest)
	if gs.owned[owner]--; gs.owned[owner] == 0 {
		delete(gs.owned, owner)
	}
}
