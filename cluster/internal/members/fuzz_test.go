package members

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// FuzzTable drives a table with the inputs that the bytes stand for, in any order,
// likely or not, and checks after each of them what must always hold: see
// [model.event] and [model.check].
func FuzzTable(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 64 {
		b := make([]byte, 4*r.IntN(600))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := newModel(t)
		for ; len(b) >= 4; b = b[4:] {
			m.now = m.now.Add(time.Duration(b[3]&7) * time.Duration(b[3]) * 20 * time.Millisecond)
			m.step(m.input(b[0], b[1], b[2]))
		}
		m.end()
	})
}

// A model keeps what the events have told, and what was asked and not answered.
type model struct {
	*testing.T
	table, twin *Table // the twin gets the same inputs
	now         time.Time
	last        Input

	seen      map[string]Member // by the events
	listed    map[string]bool   // by the effects
	addrs     map[string]string // by the effects
	left      map[string]bool   // said themselves that they have left
	evicted   map[string]bool
	verifying map[string]bool
	asked     map[string]bool // by address
	probing   bool
	partition Kind // the last event of one, KindPartitionHealed in the beginning
}

const fuzzSelf = "a@1"

func newModel(t *testing.T) *model {
	cfg := testConfig(fuzzSelf)
	cfg.PartitionBaseline, cfg.PartitionStable = 2*time.Second, time.Second
	m := &model{
		T: t, table: New(cfg), twin: New(cfg), now: time.Unix(1e9, 0), partition: KindPartitionHealed,
		seen: map[string]Member{}, listed: map[string]bool{}, addrs: map[string]string{}, left: map[string]bool{},
		evicted: map[string]bool{}, verifying: map[string]bool{}, asked: map[string]bool{},
	}
	m.step(Alive{ID: fuzzSelf, Addr: cfg.Addr})
	return m
}

// input returns the input that three bytes stand for: its kind, a member, the rest.
func (m *model) input(kind, who, arg byte) Input {
	id := fmt.Sprintf("%c@%d", 'a'+who%6, 1+who/6%3)
	name, _, _ := SplitID(id)
	addr := name + ":1"
	if arg&7 == 7 { // it claims another address
		addr = fmt.Sprintf("%c:1", 'a'+arg>>3%6)
	}
	other := fmt.Sprintf("%c@%d", 'a'+who%6, 1+arg%3)
	alive := Alive{ID: id, Addr: addr, Leaving: arg&24 == 24, Proved: arg&1 > 0}
	if arg&32 > 0 {
		alive.Tags = map[string]string{"v": fmt.Sprint(arg >> 6)}
	}
	if id == fuzzSelf { // nobody else can speak for this node
		alive.Addr = "a:1"
	}
	switch kind % 20 {
	case 0, 1, 2:
		return alive
	case 3:
		return Updated(alive)
	case 4, 5:
		return Dead{id}
	case 6:
		return Announced{ID: id, Left: arg&1 > 0}
	case 7:
		return Answered{id, arg&1 > 0}
	case 8:
		return Evidence{id, CausePhi, 8}
	case 9:
		return Cleared{id}
	case 10:
		return Unreachable{id, [...]string{CauseRefused, CauseReplaced}[arg&1]}
	case 11:
		if arg < 16 {
			return Evicted{id}
		}
		return Cleared{id}
	case 12:
		if arg&1 > 0 {
			return Dialed{Addr: addr, Refused: true}
		}
		return Dialed{Addr: addr, Want: id, Got: other}
	case 13:
		return Identifying{addr}
	case 14, 15:
		if arg&3 == 3 {
			return Identified{Addr: addr}
		}
		return Identified{addr, id}
	case 16:
		return Verified{id, arg&1 > 0}
	case 17:
		return Probed{id, arg&1 > 0, arg&2 > 0, arg&4 > 0}
	case 18:
		return MinorityDecided{int(arg & 7), arg&8 > 0}
	}
	tick := Tick{Health: int(arg & 7), Late: arg&8 > 0 && arg&16 > 0, FailedLately: int(arg >> 6)}
	if tick.Paused = tick.Late; arg&32 > 0 {
		tick.Failed = []string{id}
	}
	return tick
}

func (m *model) step(in Input) {
	m.last = in
	switch in := in.(type) {
	case Announced:
		if _, known := m.table.Get(in.ID); known && in.Left {
			m.left[in.ID] = true
		}
	case Evicted:
		m.evicted[in.ID] = in.ID != fuzzSelf
	case Verified:
		delete(m.verifying, in.ID)
	case Identified:
		delete(m.asked, in.Addr)
	}
	effects := m.table.Step(in, m.now)
	if twin := m.twin.Step(in, m.now); !reflect.DeepEqual(effects, twin) {
		m.fail("the same inputs make %v and %v", effects, twin)
	}
	for _, e := range effects {
		m.effect(e)
	}
	m.check()
	if m.probing { // the world answers before long
		m.probing = false
		m.step(ProbedAll{})
	}
}

func (m *model) fail(format string, args ...any) {
	m.Helper()
	m.Fatalf("%T%+v: %s", m.last, m.last, fmt.Sprintf(format, args...))
}

func (m *model) effect(e Effect) {
	switch e := e.(type) {
	case Event:
		m.event(e)
	case Listed:
		if m.listed[e.ID] == e.Alive {
			m.fail("%v twice", e)
		}
		m.listed[e.ID] = e.Alive
	case Moved:
		if m.addrs[e.ID] != e.Was {
			m.fail("%v, it was at %q", e, m.addrs[e.ID])
		}
		m.addrs[e.ID] = e.Addr
	case Forgotten:
		if m.seen[e.ID].State.Present() && m.seen[e.ID].Name != "" || m.listed[e.ID] {
			m.fail("%s is forgotten in the view", e.ID)
		}
		if m.addrs[e.ID] != e.Addr {
			m.fail("%v, it was at %q", e, m.addrs[e.ID])
		}
		delete(m.seen, e.ID)
		delete(m.addrs, e.ID)
		delete(m.left, e.ID)
		delete(m.verifying, e.ID)
	case Identify:
		if m.asked[e.Addr] || e.Addr == "a:1" {
			m.fail("%v while it is being asked, or of this node itself", e)
		}
		m.asked[e.Addr] = true
	case Verify:
		if m.verifying[e.Member.ID()] {
			m.fail("%v while it is being verified", e)
		}
		m.verifying[e.Member.ID()] = true
	case Compare:
		if e.Older.Name != e.Newer.Name || e.Older.Boot >= e.Newer.Boot {
			m.fail("%+v is not one name and two boots in order", e)
		}
	case Ping:
		if id := e.Member.ID(); !m.seen[id].State.Present() || !m.listed[id] {
			m.fail("%s is pinged and not in the view", id)
		}
	case ProbeAll:
		m.probing = true
	}
}

// before are the states that a member may have had before an event, after those that
// it may have then.
var before = map[Kind][]State{
	KindNodeUpdated:   {StateAlive, StateSuspect, StateLeaving},
	KindNodeSuspected: {StateAlive},
	KindNodeRecovered: {StateSuspect, StateLeft, StateFailed},
	KindNodeLeft:      {StateAlive, StateSuspect, StateLeaving},
	KindNodeFailed:    {StateAlive, StateSuspect, StateLeaving},
}

var after = map[Kind][]State{
	KindNodeJoined:    {StateAlive, StateLeaving, StateSuspect},
	KindNodeUpdated:   {StateAlive, StateSuspect, StateLeaving},
	KindNodeSuspected: {StateSuspect},
	KindNodeRecovered: {StateAlive, StateLeaving},
	KindNodeLeft:      {StateLeft},
	KindNodeFailed:    {StateFailed},
}

// event checks an event: it follows from what was told before, a member that left
// stays left, an evicted one stays out, and this node never blames itself.
func (m *model) event(e Event) {
	if !e.Time.Equal(m.now) {
		m.fail("an event of %v at %v", e.Time, m.now)
	}
	id := e.Member.ID()
	switch e.Kind {
	case KindPartitionSuspected, KindPartitionDetected, KindPartitionHealed:
		if (e.Kind == KindPartitionSuspected) != (m.partition == KindPartitionHealed) {
			m.fail("%v after %v", e.Kind, m.partition)
		}
		m.partition = e.Kind
		return
	case KindSelfDegraded:
		return
	case KindNameConflict:
		return // in the words of the one who compared
	}
	was, known := m.seen[id]
	switch {
	case e.Kind == KindNodeJoined && known:
		m.fail("%s joined twice", id)
	case e.Kind != KindNodeJoined && !known:
		m.fail("%+v of a member that has not joined", e)
	case known && !slices.Contains(before[e.Kind], was.State):
		m.fail("%s was %d before event %d", id, was.State, e.Kind)
	case known && e.Was.State != was.State, known && was.State.Present() && !reflect.DeepEqual(e.Was, was):
		m.fail("%s was %+v, not %+v", id, was, e.Was)
	case !slices.Contains(after[e.Kind], e.Member.State):
		m.fail("%s is %d after event %d", id, e.Member.State, e.Kind)
	case known && was.State == e.Member.State && was.Since != e.Member.Since, e.Member.State != was.State && !e.Member.Since.Equal(m.now):
		m.fail("%s is %d since %v, and was %d since %v", id, e.Member.State, e.Member.Since, was.State, was.Since)
	case e.Kind == KindNodeUpdated && reflect.DeepEqual(e.Was, e.Member):
		m.fail("nothing of %s is new", id)
	case id == fuzzSelf && (e.Member.State == StateSuspect || e.Member.State == StateFailed):
		m.fail("this node holds itself for %d", e.Member.State)
	case m.left[id] && e.Member.State.Present():
		m.fail("%s has left and is %d", id, e.Member.State)
	case m.evicted[id] && e.Member.State.Present():
		m.fail("%s was evicted and is %d", id, e.Member.State)
	}
	m.seen[id] = e.Member
}

// check compares the table with the events: there was one for every change, and no
// member is there twice.
func (m *model) check() {
	var counts [NumStates]int
	shown := map[string]bool{}
	at := map[string]string{}
	for got := range m.table.Shown() {
		id := got.ID()
		want, known := m.seen[id]
		switch {
		case shown[id]:
			m.fail("%s twice", id)
		case !known:
			m.fail("no event of %+v", got)
		case got.State != want.State, got.State.Present() && !reflect.DeepEqual(got, want):
			m.fail("%+v is %+v by the events", got, want)
		case got.State.Present() && !m.listed[id] && !m.verifying[id]:
			m.fail("%s is present, though gossip buried it and it is not being verified", id)
		case got.State.Present() && at[got.Addr] != "":
			m.fail("%s and %s are both at %s", id, at[got.Addr], got.Addr)
		case got.State.Present():
			at[got.Addr] = id
		}
		shown[id] = true
		counts[got.State]++
	}
	if len(shown) != len(m.seen) {
		m.fail("%d members shown, %d by the events", len(shown), len(m.seen))
	}
	if counts != m.table.Counts() {
		m.fail("counts %v, want %v", m.table.Counts(), counts)
	}
	var digest uint64
	for id, is := range m.listed {
		if is {
			digest += hash(id)
		}
	}
	if digest != m.table.Digest() {
		m.fail("the digest is not that of %v", slices.Collect(maps.Keys(m.listed)))
	}
}

// end lets a day pass: whoever is gone is forgotten.
func (m *model) end() {
	for range 3 {
		m.now = m.now.Add(25 * time.Hour)
		m.step(Tick{})
	}
	for id := range m.seen {
		if !m.seen[id].State.Present() && !m.listed[id] {
			m.fail("%s is gone for a day and not forgotten", id)
		}
	}
	if m.table.Size() > 18 {
		m.fail("%d members of 18", m.table.Size())
	}
}
