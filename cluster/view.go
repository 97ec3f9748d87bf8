package cluster

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/cluster/internal/members"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// maxMembers bounds the table of members, and what is kept for each of them elsewhere.
const maxMembers = members.MaxMembers

// A view is what the node sees of its cluster: the table of members, which decides,
// and the last events, for those who watch. Any goroutine may step it. What a step
// asks for is done under mu if it cannot block, else it is handed to the prober.
type view struct {
	n      *Node
	digest atomic.Uint64 // the table's, read by memberlist without mu

	mu        sync.Mutex // guards what follows
	table     *members.Table
	feed      feed
	log       eventLog
	counts    [members.NumStates]int // as last told to Metrics
	health    int                    // likewise
	counted   uint64                 // the table's version when they were
	selectors map[string]Selector    // parsed
}

// newView returns the view of a node that knows no member yet. first says that it has
// joined at once.
func newView(n *Node, first bool) *view {
	c := &n.cfg
	return &view{
		n: n, feed: newFeed(), log: eventLog{limit: gossip.Bucket{Rate: eventLines}}, selectors: map[string]Selector{},
		table: members.New(members.Config{
			Self: n.id, Addr: n.advertise.String(), NamesBound: n.namesBound, First: first,
			ExpectNodes: c.ExpectNodes, ProbeInterval: c.Detection.ProbeInterval, ReconnectFor: c.Discovery.ReconnectFor,
			ForgetAfter: c.Partition.ForgetAfter, PartitionWindow: c.Partition.Window, PartitionStable: c.Partition.Stable,
			PartitionBaseline: c.Partition.Baseline,
		}),
	}
}

// drain steps the table with what memberlist and others have told since the last
// call, in order.
func (v *view) drain() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, in := range v.n.inbox.take() {
		v.stepLocked(in)
	}
	v.stepped()
}

// step steps the table with one input and writes the log.
func (v *view) step(in members.Input) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stepLocked(in)
	v.stepped()
}

// judge is step for callers that must not wait for the log, which the run goroutine
// then writes. It does nothing once the node stops. It returns the kinds of the events
// that it has made.
func (v *view) judge(in members.Input) (kinds []members.Kind) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.n.life.stopping() {
		return nil
	}
	kinds = v.stepLocked(in)
	v.count()
	// The caller may hold locks of its own, or be a call that must not wait for a slow log.
	if len(v.log.queue) > 0 {
		v.n.inbox.poke()
	}
	return kinds
}

// stepLocked steps the table and does what it asks for. It returns the kinds of the
// events. The caller holds mu.
func (v *view) stepLocked(in members.Input) (kinds []members.Kind) {
	// The effects are carried out in their order, under the lock: so the order of events
	// is that of the steps.
	for _, e := range v.table.Step(in, time.Now()) {
		if e, ok := e.(members.Event); ok {
			kinds = append(kinds, e.Kind)
		}
		v.do(e)
	}
	v.digest.Store(v.table.Digest())
	return kinds
}

// stepped gives the metrics and the log what steps have changed, once for all of them. The
// caller holds mu, which is released while the log is written.
func (v *view) stepped() {
	v.count()
	v.writeLog()
}

// do carries an effect out. The caller holds mu.
func (v *view) do(e members.Effect) {
	n := v.n
	switch e := e.(type) {
	case members.Event:
		// Whether packets reach a newcomer is looked at later: that may log.
		if e.Kind == members.KindNodeJoined {
			n.reach.newcomer(publicMember(e.Member))
		}
		v.emit(publicEvent(e))
	case members.Joined:
		n.life.join()
	case members.Listed:
		n.transport.SetPresent(e.ID, e.Alive)
	case members.Moved:
		n.names.set(e.ID, e.Was, e.Addr, e.ServerName)
	case members.Forgotten:
		n.names.set(e.ID, e.Addr, "", "")
		n.transport.Forget(e.ID)
	case members.AskMinority:
		v.askMinority(e)
	default:
		n.prober.do(e)
	}
}

// askMinority asks Config.Partition.OnMinority on a goroutine that Close does not wait for: it
// may close the node.
func (v *view) askMinority(ask members.AskMinority) {
	go func() {
		goOn := v.n.cfg.Partition.OnMinority(Partition(ask.Partition))
		v.judge(members.MinorityDecided{Which: ask.Which, GoOn: goOn})
	}()
}

// emit numbers an event and gives it to the subscribers, the metrics and the log. The
// caller holds mu.
func (v *view) emit(e *Event) {
	v.feed.add(e)
	v.n.cfg.Metrics.Event(e.Kind, e.Cause)
	v.log.queue = append(v.log.queue, e)
}

// count tells the metrics what has changed. The caller holds mu.
func (v *view) count() {
	if h := v.table.Health(); h != v.health {
		v.health = h
		v.n.cfg.Metrics.HealthScore(h)
	}
	// Only what has changed is reported: most steps change nothing here.
	if v.counted == v.table.Version() {
		return
	}
	v.counted = v.table.Version()
	counts := v.table.Counts()
	for s, c := range counts {
		if c != v.counts[s] {
			v.n.cfg.Metrics.Members(State(s), c)
		}
	}
	v.counts = counts
}

// with calls f with the table under mu, to read it. f must not keep it, change it or block.
func (v *view) with(f func(*members.Table)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f(v.table)
}

// describeDetector says in one line how the detector of partitions stands, for package
// hook.
func (v *view) describeDetector() (text string) {
	v.with(func(t *members.Table) { text = t.Describe(time.Now()) })
	return text
}

// present returns the members of the view, sorted. The caller holds mu.
func (v *view) present() []Member {
	ms := make([]Member, 0, v.table.Size())
	for m := range v.table.Shown() {
		if m.State.Present() {
			ms = append(ms, publicMember(m))
		}
	}
	slices.SortFunc(ms, compareMembers)
	return ms
}

// shared returns the members present, as the last event has left them, in a slice
// that all who ask before the next event share. The caller holds mu.
func (v *view) shared() []Member {
	if v.feed.view == nil || v.feed.viewSeq != v.feed.seq {
		v.feed.view, v.feed.viewSeq = v.present(), v.feed.seq
	}
	return v.feed.view
}

// others returns the members of the view without this node, sorted. The slice is the
// caller's.
func (v *view) others() []Member {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.DeleteFunc(v.present(), func(m Member) bool { return m.ID() == v.n.id })
}

// publicMember, and publicEvent, give the table's words their public form. The numbers of
// states and kinds are the same on both sides.
func publicMember(m members.Member) Member {
	return Member{
		Name: m.Name, Boot: m.Boot, Addr: m.Addr, ServerName: m.ServerName, Tags: Tags(m.Tags),
		State: State(m.State), Since: m.Since, Joined: m.Joined,
	}
}

// publicEvent returns an event of the table as subscribers get it.
func publicEvent(e members.Event) *Event {
	return &Event{
		Time: e.Time, Kind: Kind(e.Kind), Member: publicMember(e.Member), Was: publicMember(e.Was), Cause: e.Cause,
		Phi: e.Phi, Duration: e.Duration, Health: e.Health, Partition: (*Partition)(e.Partition),
	}
}

// feedSize is how many events a subscriber may fall behind.
const feedSize = 1024

// A feed keeps the last events of a node, once for all subscribers: each has only
// its place among them, so that one that does not read costs nothing. The view's
// mu guards it.
type feed struct {
	seq     uint64   // number of the last event
	ring    []*Event // the last feedSize, event number i at i % feedSize; immutable events
	changed chan struct{}
	view    []Member // the view after event number viewSeq, for all who ask for it then
	viewSeq uint64
}

// newFeed returns a feed without events.
func newFeed() feed { return feed{changed: make(chan struct{})} }

// add numbers an event and keeps it.
func (f *feed) add(e *Event) {
	f.seq++
	e.Seq = f.seq
	f.view = nil
	if i := int(f.seq % feedSize); i < len(f.ring) {
		f.ring[i] = e
	} else {
		for len(f.ring) <= i { // number 0 is no event
			f.ring = append(f.ring, nil)
		}
		f.ring[i] = e
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// after returns the event that follows number seq: nil if there is none yet, and
// missed if it is not kept any more.
func (f *feed) after(seq uint64) (e *Event, missed bool) {
	switch {
	case seq == f.seq:
		return nil, false
	case f.seq-seq > feedSize:
		return nil, true
	}
	return f.ring[(seq+1)%feedSize], false
}

// A subscriber is one running Watch: its place in the feed. Its own loop owns it.
type subscriber struct {
	view    *view
	initial []Member // the members of the beginning that are still to be told; shared
	started time.Time
	seq     uint64 // the last event that it has had
}

// Watch returns the members as they are, one KindNodeJoined each with Initial set
// sorted by name, and then every change, in order. Each range over it is a
// subscription of its own, from the moment the range begins. It ends when ctx does,
// when the loop is left, or after the last event of a node that has stopped. A slow
// loop delays only itself: when it has fallen 1 024 events behind it gets a KindResync
// with the present members instead of what it missed.
func (n *Node) Watch(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		s := n.view.subscribe()
		for {
			stopped := false
			select {
			case <-n.Done():
				stopped = true // what is in the feed now is all there will be
			default:
			}
			e, changed := s.next()
			switch {
			case e != nil:
				if ctx.Err() != nil || !yield(*e) {
					return
				}
				continue
			case stopped:
				return
			}
			select {
			case <-changed:
			case <-n.Done():
			case <-ctx.Done():
				return
			}
		}
	}
}

// subscribe returns a subscriber that begins with the members as they are now. The two
// are taken together, so that no event is missed or comes twice.
func (v *view) subscribe() *subscriber {
	v.mu.Lock()
	defer v.mu.Unlock()
	return &subscriber{view: v, started: time.Now(), initial: v.shared(), seq: v.feed.seq}
}

// next returns the next event for the subscriber; if there is none yet, nil and
// what is closed when there is.
func (s *subscriber) next() (e *Event, changed <-chan struct{}) {
	if len(s.initial) > 0 {
		m := s.initial[0]
		if s.initial = s.initial[1:]; len(s.initial) == 0 {
			s.initial = nil
		}
		return &Event{Seq: s.seq, Time: s.started, Kind: KindNodeJoined, Member: m, Initial: true}, nil
	}
	s.view.mu.Lock()
	defer s.view.mu.Unlock()
	f := &s.view.feed
	e, missed := f.after(s.seq)
	switch {
	case missed:
		s.seq = f.seq
		return &Event{Seq: f.seq, Time: time.Now(), Kind: KindResync, Members: s.view.shared()}, nil
	case e != nil:
		s.seq++
	}
	return e, f.changed
}

// eventLines is how many events are written to the log: all of a cluster that
// forms or splits, and few a second of one whose members invent others.
var eventLines = gossip.Rate{PerSecond: 20, Burst: 1000}

// An eventLog holds the events that are still to be written to the log. The view's
// mu guards it.
type eventLog struct {
	queue   []*Event
	writing bool // a goroutine writes: the others leave the order to it
	limit   gossip.Bucket
	left    int // left out since the last line
}

// writeLog writes what has happened to the log, in order, without mu, which the
// caller holds before and after: a log that blocks must not hold up the view.
func (v *view) writeLog() {
	l := &v.log
	if l.writing {
		return
	}
	l.writing = true
	for len(l.queue) > 0 {
		events := l.queue
		l.queue = nil
		v.mu.Unlock()
		for _, e := range events {
			l.write(v.n.log, e)
		}
		v.mu.Lock()
	}
	l.writing = false
}

// write writes one line, or counts it as left out. Only the goroutine that has
// set writing calls it.
func (l *eventLog) write(log *slog.Logger, e *Event) {
	level := slog.LevelInfo
	switch e.Kind {
	case KindNodeFailed, KindNameConflict, KindPartitionSuspected, KindPartitionDetected:
		level = slog.LevelWarn
	case KindNodeUpdated, KindNodeSuspected, KindSelfDegraded:
		level = slog.LevelDebug
	}
	if !log.Enabled(backgroundCtx, level) {
		return
	}
	if !l.limit.Take(1, time.Now()) {
		l.left++
		return
	}
	args := []any{"seq", e.Seq}
	if l.left > 0 {
		args, l.left = append(args, "suppressed", l.left), 0
	}
	log.Log(backgroundCtx, level, loglimit.Cut(e.String()), args...)
}
