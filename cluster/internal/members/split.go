package members

import (
	"fmt"
	"time"
)

const (
	// After fullProbes times, at most one a second, those that are not in the view are
	// probed in every rareProbes-th [ProbeAll] only: a split that has lasted a minute may
	// last for days, and each of them costs a time-out.
	fullProbes = 60
	rareProbes = 30
)

// A split is what the table knows of a partition: the detector's opinion, what was
// found by probing everybody, and what follows for the assignment of work.
type split struct {
	detector detector        // its opinion
	asked    time.Time       // the last ProbeAll
	probing  bool            // one is under way
	probes   int             // complete ones since the detector was calm
	silent   map[string]bool // by id: the last one found it silent, or not
	verdicts int             // PartitionDetected and PartitionHealed so far, for AskMinority
	assigns  bool            // this node may assign work
	judged   uint64          // the version of the table at the last look, plus 1
}

// newSplit returns a calm split, in which this node assigns work.
func newSplit(cfg *Config) split {
	return split{detector: newDetector(cfg), silent: map[string]bool{}, assigns: true}
}

// Partition returns the partition that this node finds itself in, and false if there
// is none.
func (t *Table) Partition() (Partition, bool) { return t.split.detector.current() }

// Assigns reports whether this node may assign work as far as partitions are
// concerned.
func (t *Table) Assigns() bool { return t.split.assigns }

// Expected returns how many names count as stable and are not lost.
func (t *Table) Expected(now time.Time) int {
	expected, lost, _ := t.split.detector.count(now)
	return expected - len(lost)
}

// Describe says in one line how the detector of partitions stands.
func (t *Table) Describe(now time.Time) string {
	return fmt.Sprintf("%s, health %d, everybody probed %d times", t.split.detector.describe(now), t.own.health, t.split.probes)
}

// judgeSplit shows the detector what this node sees, emits what it finds, and has
// everybody probed once a second while it suspects a partition. When it is calm again,
// what the probes found is forgotten.
func (t *Table) judgeSplit(failedProbes int, now time.Time) {
	s := &t.split
	if s.detector.quiet(now, t.own.health) && s.judged == t.version+1 && len(t.effects) == 0 {
		return // as the last time
	}
	s.judged = t.version + 1
	for _, e := range s.detector.observe(now, look{t.name, t.sights(), t.own.health, failedProbes, s.probes}) {
		t.emit(e, now)
		switch e.Kind {
		case KindPartitionDetected:
			t.decide(*e.Partition)
		case KindPartitionHealed:
			s.verdicts++
			s.assigns = true
		}
	}
	if s.detector.state == calm {
		clear(s.silent)
		s.probes = 0
	} else if !s.probing && now.Sub(s.asked) >= time.Second {
		s.asked, s.probing = now, true
		t.probeAll()
	}
}

// decide says whether this node assigns work while the partition is as p says: on the
// smaller side that is the answer to AskMinority, unless the picture has changed
// before it comes.
func (t *Table) decide(p Partition) {
	t.split.verdicts++
	if p.Side == SideMajority {
		t.split.assigns = true
		return
	}
	t.do(AskMinority{p, t.split.verdicts})
}

// An answer to a picture that has changed meanwhile is dropped.
func (in MinorityDecided) apply(t *Table, _ time.Time) {
	if in.Which == t.split.verdicts {
		t.split.assigns = in.GoOn
	}
}

// probeAll asks every member of the baseline directly whether it is there: while a
// partition is suspected, gossip's own verdicts come too slowly on the smaller side,
// which has many dead to bury and few to confirm them. A member that does not answer
// counts as lost; one that is not present and whose address refuses, or is another
// node's now, has crashed. When a partition lasts, those that are not in the view are
// asked less often.
func (t *Table) probeAll() {
	s := &t.split
	everybody := s.probes < fullProbes || s.probes%rareProbes == 0
	var ms []Member
	for _, r := range t.find(func(r *record) bool {
		return !t.isSelf(r) && !r.unannounced && !r.replaced && r.State != StateLeft &&
			s.detector.voters[r.Name] != nil && (everybody || r.State.Present())
	}) {
		ms = append(ms, r.Member)
	}
	t.do(ProbeAll{ms})
}

// A member that is present is not failed by a refusal here: gossip's verdict, which is
// verified, or a caller's does that. One that is gone has crashed if its address refuses.
func (in Probed) apply(t *Table, now time.Time) {
	t.split.silent[in.ID] = !in.Answered
	r := t.records[in.ID]
	switch {
	case r == nil: // forgotten meanwhile
		delete(t.split.silent, in.ID)
	case in.Answered:
		t.answered(r, in.Proved, now)
	case in.Gone && !r.State.Present():
		r.refused = true
	}
}

// What was found of members that are forgotten by now is dropped: their names may return.
func (ProbedAll) apply(t *Table, _ time.Time) {
	s := &t.split
	for id := range s.silent {
		if t.records[id] == nil {
			delete(s.silent, id)
		}
	}
	s.probes++
	s.probing = false
}

// sights returns what this node sees of each name: of its newest boot that is
// present, or else of its newest.
func (t *Table) sights() []sight {
	best := make(map[string]*record, len(t.records))
	for _, r := range t.records {
		if r.unannounced {
			continue
		}
		if o := best[r.Name]; o == nil || better(&r.Member, &o.Member) {
			best[r.Name] = r
		}
	}
	seen := make([]sight, 0, len(best))
	for name, r := range best {
		seen = append(seen, sight{
			name:    name,
			up:      r.State.Present() && t.heard(r),
			present: r.State.Present(),
			crashed: !r.State.Present() && (r.refused || r.replaced || r.failed),
			left:    r.State == StateLeft || r.State == StateLeaving || r.hasLeft,
			tags:    r.Tags,
		})
	}
	return seen
}

// heard reports whether a present member answers: as the last ProbeAll found it, or
// else if nothing is held against it. On the smaller side of a split, gossip takes long
// to bury the many others, and would hide for as long how small the side is.
func (t *Table) heard(r *record) bool {
	if silent, probed := t.split.silent[r.ID()]; probed {
		return !silent
	}
	return r.State != StateSuspect
}
