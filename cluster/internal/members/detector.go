package members

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A detector tells a partition of the cluster from the death of some of its
// nodes. Each tick of the table drives it with what the node sees.
//
// Its states and what moves it between them:
//
//	calm -(a fifth of the baseline lost within the window,
//	       or this node hears no other: health)-> suspected
//	suspected -(everybody was probed twice and the picture is stable)-> detected
//	suspected -(the losses turn out to be crashes, or come back)-> calm
//	detected -(all but a tenth is back, stable)-> calm
//
// The baseline is the set of names known to be stable. A name that left, whose
// address refuses connections, or whose address another boot has taken, is no
// longer part of it: that is a crash or a farewell, not a partition. Unknown
// ground remains: the crash of half of the machines, which refuse nothing, looks
// like a split and is reported as one. A single loss is forgotten after
// ForgetAfter; who was lost in a partition stays lost until it is back or known to
// have crashed or left, however long that takes: a side that forgot the other
// would consider itself the whole cluster.
type detector struct {
	cfg *Config

	voters map[string]*voter
	state  detectorState
	since  time.Time // of the first loss of this partition
	stable time.Time // since when the picture has not changed
	forced time.Time // when the side is named even if the picture still changes
	lost   []string  // the last picture
	named  Partition // as last told

	healthSince time.Time // since when health has been bad; zero while it is not
	due         time.Time // when time alone changes a voter next; zero if it does not
}

// A detectorState is one of the three states of a detector.
type detectorState uint8

const (
	calm detectorState = iota
	suspected
	detected
)

// A voter is one name of the baseline or on its way into it.
type voter struct {
	upSince  time.Time // present without a break
	lostAt   time.Time // when it ceased to answer; zero while it does
	goneAt   time.Time // when it ceased to be present; zero while it is
	expected bool      // part of the baseline
	tags     map[string]string
}

// A sight is what the node sees of one name: of its newest boot that is present, or else
// of its newest.
type sight struct {
	name    string
	up      bool // present and answering, as far as is known
	present bool // present
	crashed bool // refused or replaced, and not up
	left    bool
	tags    map[string]string
}

// The thresholds of the detector.
const (
	// lossFraction says that a fifth of the baseline lost at once is a partition, or worse;
	// fewer are crashes. minLoss is the least number, for small clusters.
	lossFraction = 5
	minLoss      = 2
	// badProbes is how many of this node's own probes must have failed lately for bad health
	// to mean that it is cut off.
	badProbes = 2
	// healFraction says that a partition has healed when all but a tenth are back.
	healFraction = 10
	// minProbes is how often everybody is probed before a side is named: the first
	// round often falls into the cut itself, when some still answer.
	minProbes = 2
	// forcedStables times the time that the picture must rest is when it is named even if
	// it never does.
	forcedStables = 3
)

// newDetector returns a detector that is calm and expects no names yet.
func newDetector(cfg *Config) detector {
	return detector{cfg: cfg, voters: map[string]*voter{}}
}

// stableFor is how long the picture must rest before a partition of n nodes is named or
// has healed: larger clusters take longer to agree.
func (d *detector) stableFor(n int) time.Duration {
	switch {
	case d.cfg.PartitionStable > 0:
		return d.cfg.PartitionStable
	case n <= 20:
		return 2 * time.Second
	case n <= 100:
		return 5 * time.Second
	}
	return 10 * time.Second
}

// A look is what the detector is shown at each tick.
type look struct {
	self   string  // this node's name
	seen   []sight // what it sees of everybody, itself included
	health int     // memberlist's score
	failed int     // how many of this node's own probes failed lately
	probes int     // how often everybody was probed since calm ended
}

// observe takes a look at the cluster and returns the events it causes.
func (d *detector) observe(now time.Time, l look) []Event {
	self, health := l.self, l.health
	d.update(now, self, l.seen)
	expected, lost, recent := d.count(now)
	if health < badHealth {
		d.healthSince = time.Time{}
	} else if d.healthSince.IsZero() {
		d.healthSince = now
	}
	// Bad health alone can be a busy machine; with failed probes it is a cut.
	cutOff := !d.healthSince.IsZero() && now.Sub(d.healthSince) >= badHealthFor && l.failed >= badProbes

	if !slices.Equal(lost, d.lost) {
		d.lost, d.stable = lost, now
	}
	rested := now.Sub(d.stable) >= d.stableFor(expected)

	switch d.state {
	case calm:
		// Losses count together if they came within the window; this node's own deafness
		// counts alone.
		if expected < 2 || recent < d.threshold(expected) && !cutOff {
			return nil
		}
		d.state, d.since, d.stable = suspected, d.firstLoss(now), now
		d.forced = now.Add(forcedStables * d.stableFor(expected))
		d.named = d.picture(SideUnknown)
		return []Event{d.event(KindPartitionSuspected, health)}
	case suspected:
		// The losses may turn out to be crashes, which are no longer expected, or come
		// back. Else the side is named when everybody was probed and the picture rests,
		// or after a while even if it does not: those who route need to know.
		if len(lost) < d.threshold(expected) && !cutOff {
			if !rested {
				return nil
			}
			return d.healed(now, health)
		}
		if len(lost) == 0 || (!rested || l.probes < minProbes) && now.Before(d.forced) {
			return nil
		}
		d.state = detected
		d.named = d.picture(d.side(self, expected))
		return []Event{d.event(KindPartitionDetected, health)}
	case detected:
		// A tenth may stay lost: a split often ends with a few crashes.
		if len(lost)*healFraction <= expected {
			if rested {
				return d.healed(now, health)
			}
			return nil
		}
		// A picture that has changed for good is reported again.
		if side := d.side(self, expected); rested && (side != d.named.Side || !slices.Equal(lost, d.named.Lost)) {
			d.named = d.picture(side)
			return []Event{d.event(KindPartitionDetected, health)}
		}
	}
	return nil
}

// quiet reports whether a look at the cluster as it was at the last one would change
// nothing: the detector is calm, this node is well, and no voter's time has come.
func (d *detector) quiet(now time.Time, health int) bool {
	return d.state == calm && health < badHealth && d.healthSince.IsZero() && (d.due.IsZero() || now.Before(d.due))
}

// await notes that time alone changes a voter then.
func (d *detector) await(at time.Time) {
	if d.due.IsZero() || at.Before(d.due) {
		d.due = at
	}
}

// threshold is how many of the expected names must be lost at once.
func (d *detector) threshold(expected int) int {
	return max(minLoss, (expected+lossFraction-1)/lossFraction)
}

// update brings the voters up to date with what the node sees: who is in the baseline,
// who on the way into it, and since when each does not answer.
func (d *detector) update(now time.Time, self string, seen []sight) {
	known := make(map[string]bool, len(seen))
	for _, s := range seen {
		known[s.name] = true
		v := d.voters[s.name]
		switch {
		case s.up || s.name == self:
			// It answers. One that comes back after a loss has to be known anew before it
			// counts, unless it counted already.
			if v == nil {
				v = &voter{upSince: now}
				d.voters[s.name] = v
			} else if !v.lostAt.IsZero() {
				v.upSince, v.lostAt, v.goneAt = now, time.Time{}, time.Time{}
			}
			v.tags = s.tags
			v.expected = v.expected || now.Sub(v.upSince) >= d.cfg.PartitionBaseline
		case s.present && !s.left && (v == nil || !v.expected):
			// A suspicion neither starts a newcomer's time anew nor holds up its
			// end: a split would be missed if the few that were cut off did not
			// all count.
			if v == nil {
				v = &voter{upSince: now}
				d.voters[s.name] = v
			}
			v.tags = s.tags
			if now.Sub(v.upSince) >= d.cfg.PartitionBaseline {
				v.expected, v.lostAt = true, now
			}
		case v == nil: // not up when first seen: it never counted
		case s.left || s.crashed || !v.expected:
			// A farewell or a crash, or a newcomer that did not stay.
			delete(d.voters, s.name)
		case d.state == calm && !v.lostAt.IsZero() && now.Sub(v.lostAt) > d.cfg.ForgetAfter:
			// A single loss is forgotten at last. One of a partition is not.
			delete(d.voters, s.name)
		default:
			if v.lostAt.IsZero() {
				v.lostAt = now
			}
			if s.present {
				v.goneAt = time.Time{}
			} else if v.goneAt.IsZero() {
				v.goneAt = now
			}
		}
	}
	// Names that the table has forgotten go too, unless a partition lasts in which they
	// were lost: a side that forgot the other would consider itself the whole cluster.
	d.due = time.Time{}
	for name, v := range d.voters {
		lost := v.expected && !v.lostAt.IsZero()
		switch {
		case !v.expected:
			d.await(v.upSince.Add(d.cfg.PartitionBaseline))
		case lost:
			d.await(v.lostAt.Add(d.cfg.ForgetAfter))
		}
		if !known[name] && (d.state == calm || !lost) {
			delete(d.voters, name)
		}
	}
}

// count returns the size of the baseline, the names lost, sorted, and how many
// of them were lost within the window.
func (d *detector) count(now time.Time) (expected int, lost []string, recent int) {
	for name, v := range d.voters {
		if !v.expected {
			continue
		}
		expected++
		if !v.lostAt.IsZero() {
			lost = append(lost, name)
			if !d.lossWithinWindow(v, now).IsZero() {
				recent++
			}
		}
	}
	slices.Sort(lost)
	return expected, lost, recent
}

// lossWithinWindow returns when the voter was lost, if that is within the window,
// else the zero time. A name that was suspected long before it was buried, which
// may have been wrong then, is lost when it is buried.
func (d *detector) lossWithinWindow(v *voter, now time.Time) time.Time {
	for _, t := range [...]time.Time{v.lostAt, v.goneAt} {
		if !t.IsZero() && now.Sub(t) <= d.cfg.PartitionWindow {
			return t
		}
	}
	return time.Time{}
}

// firstLoss returns when the first of the names lost within the window was lost.
func (d *detector) firstLoss(now time.Time) time.Time {
	first := now
	for _, v := range d.voters {
		if t := d.lossWithinWindow(v, now); v.expected && !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}

// side says where this node stands: with more than half, with fewer, or at a
// tie with the half that has the lowest name of all.
func (d *detector) side(self string, expected int) string {
	reachable, lowest, lowestHere := 0, "", false
	for name, v := range d.voters {
		if !v.expected && name != self {
			continue
		}
		here := v.lostAt.IsZero()
		if here && v.expected {
			reachable++
		}
		if lowest == "" || name < lowest {
			lowest, lowestHere = name, here
		}
	}
	switch {
	case 2*reachable > expected, 2*reachable == expected && lowestHere:
		return SideMajority
	case reachable <= 1:
		return SideIsolated
	}
	return SideMinority
}

// picture returns what is known of the partition now.
func (d *detector) picture(side string) Partition {
	p := Partition{Side: side, Since: d.since}
	var here, gone []map[string]string
	for name, v := range d.voters {
		if !v.expected {
			continue
		}
		p.Expected++
		if v.lostAt.IsZero() {
			p.Reachable = append(p.Reachable, name)
			here = append(here, v.tags)
		} else {
			p.Lost = append(p.Lost, name)
			gone = append(gone, v.tags)
		}
	}
	slices.Sort(p.Reachable)
	slices.Sort(p.Lost)
	p.Common = common(gone, here)
	return p
}

// common returns the first tag, in order, that all of gone and none of here
// have.
func common(gone, here []map[string]string) string {
	if len(gone) == 0 {
		return ""
	}
	var found []string
next:
	for k, v := range gone[0] {
		for _, t := range gone[1:] {
			if got, ok := t[k]; !ok || got != v {
				continue next
			}
		}
		for _, t := range here {
			if got, ok := t[k]; ok && got == v {
				continue next
			}
		}
		found = append(found, k+"="+v)
	}
	if len(found) == 0 {
		return ""
	}
	return slices.Min(found)
}

// healed ends the partition, and says which of those that were named as lost are back.
func (d *detector) healed(now time.Time, health int) []Event {
	p := d.picture(d.named.Side)
	p.Duration = now.Sub(d.since)
	for _, name := range d.named.Lost {
		if v := d.voters[name]; v != nil && v.lostAt.IsZero() {
			p.Returned = append(p.Returned, name)
		} else {
			p.Missing = append(p.Missing, name)
		}
	}
	d.state, d.named = calm, p
	e := d.event(KindPartitionHealed, health)
	e.Duration = p.Duration
	return []Event{e}
}

// event returns an event about the picture that was named last.
func (d *detector) event(kind Kind, health int) Event {
	p := d.named
	return Event{Kind: kind, Partition: &p, Health: health}
}

// current returns the partition this node is in.
func (d *detector) current() (Partition, bool) { return d.named, d.state == detected }

var stateNames = [...]string{"calm", "suspected", "detected"}

// describe says in one line which state the detector is in, which names it expects,
// and since when it misses the lost.
func (d *detector) describe(now time.Time) string {
	var lost, young []string
	expected := 0
	ago := func(t time.Time) string { return now.Sub(t).Round(100 * time.Millisecond).String() }
	for name, v := range d.voters {
		switch {
		case !v.expected:
			young = append(young, fmt.Sprintf("%s known for %s", name, ago(v.upSince)))
			continue
		case !v.goneAt.IsZero():
			lost = append(lost, fmt.Sprintf("%s for %s, gone for %s", name, ago(v.lostAt), ago(v.goneAt)))
		case !v.lostAt.IsZero():
			lost = append(lost, fmt.Sprintf("%s for %s", name, ago(v.lostAt)))
		}
		expected++
	}
	slices.Sort(lost)
	slices.Sort(young)
	text := fmt.Sprintf("%s, %d expected, %d lost", stateNames[d.state], expected, len(lost))
	if len(lost) > 0 {
		text += " (" + strings.Join(lost, "; ") + ")"
	}
	if len(young) > 0 {
		text += ", not expected yet: " + strings.Join(young, "; ")
	}
	return text
}
