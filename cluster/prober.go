package cluster

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster/internal/members"
	"github.com/rpcnet-go/rpcnet/internal/phi"
)

const (
	// maxIdentifies, maxCompares and maxVerifies are how many addresses are asked at
	// once who answers there, how many pairs of one name are compared, and how many
	// failures are verified. The others wait.
	maxIdentifies = 8
	maxCompares   = 4
	maxVerifies   = 64
	// maxWaiting is how many checks of addresses that others cause may wait.
	maxWaiting = 4096
	// unsureTries times ProbeTimeout is how long a node that mistrusts what it hears
	// waits for an answer.
	unsureTries = 10
	// probeAllTimeout is how long a member has to answer a connection when everybody is
	// probed, probeAllAtOnce how many are.
	probeAllTimeout = 1500 * time.Millisecond
	probeAllAtOnce  = 64
	// noGossip is in the error of a connection to an endpoint that carries no node: an
	// alert, for which crypto/tls has no type.
	noGossip = "tls: no application protocol"
)

// A prober asks members whether they are there: by a packet (ping), by a connection to
// an address (identify), by both (verify). It does so for the table of members, which
// it tells the answers, on goroutines that Close waits for.
type prober struct {
	n    *Node
	late *phi.Lateness // of this node

	mu         sync.Mutex     // guards what follows; a leaf
	asked      map[string]int // members that are being pinged, and how often at once
	sent       time.Time      // when memberlist last sent a probe
	identifies pool
	compares   pool
	verifies   pool
}

// newProber returns a prober without work.
func newProber(n *Node) *prober {
	return &prober{n: n, late: phi.NewLateness(members.TickInterval), asked: map[string]int{}, identifies: pool{limit: maxIdentifies}, compares: pool{limit: maxCompares}, verifies: pool{limit: maxVerifies}}
}

// A pool runs pieces of work on at most limit goroutines, the oldest first. They end
// when there is no more. The prober's mu guards it.
type pool struct {
	limit int      // of goroutines
	busy  int      // goroutines that run
	queue []func() // what waits, the oldest first
}

// work gives a piece of work to a pool, unless the node stops. It does not block: the
// caller may hold the view's mu.
func (p *prober) work(in *pool, f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n.life.stopping() {
		return
	}
	in.queue = append(in.queue, f)
	// The goroutines that run take what is in the queue: a new one only if there is room.
	if in.busy < in.limit && p.n.life.spawn(func() { p.runPool(in) }) {
		in.busy++
	}
}

// runPool works until there is no more, so that an idle node has no goroutine for it.
func (p *prober) runPool(in *pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(in.queue) > 0 && !p.n.life.stopping() {
		f := in.queue[0]
		in.queue = in.queue[1:]
		p.mu.Unlock()
		f()
		p.mu.Lock()
	}
	in.busy--
}

// do begins what the table asks for. It does not block.
func (p *prober) do(e members.Effect) {
	switch e := e.(type) {
	case members.Identify:
		p.work(&p.identifies, func() { p.answerIdentify(e) })
	case members.Compare:
		p.work(&p.compares, func() { p.answerCompare(e) })
	case members.Verify:
		p.work(&p.verifies, func() { p.answerVerify(e.Member) })
	case members.Ping:
		p.n.life.spawn(func() {
			if p.ping(publicMember(e.Member), 1) {
				p.n.inbox.put(p.answered(e.Member.ID()))
			}
		})
	case members.ProbeAll:
		p.n.life.spawn(func() { p.answerProbeAll(e) })
	}
}

// answered is the input for a member that has answered a probe.
func (p *prober) answered(id string) members.Answered {
	return members.Answered{ID: id, Proved: p.n.proved(id)}
}

// ping reports whether the member answers one of so many packets, each within
// ProbeTimeout.
func (p *prober) ping(m Member, tries int) bool {
	addr, err := netip.ParseAddrPort(m.Addr)
	if err != nil {
		return false
	}
	p.ask(m.ID(), 1)
	defer p.ask(m.ID(), -1)
	for range tries {
		if p.n.life.stopping() { // Close waits for this
			return false
		}
		if _, err := p.n.list.Ping(m.ID(), net.UDPAddrFromAddrPort(addr)); err == nil {
			return true
		}
	}
	return false
}

// ask counts the pings of a member that are under way, which [prober.blind] lets pass.
func (p *prober) ask(id string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked[id] += n; p.asked[id] <= 0 {
		delete(p.asked, id)
	}
}

// identify returns the id of the node that answers at an address. It first waits until
// the rate of connections because of hearsay allows one more.
func (p *prober) identify(addr string, timeout time.Duration) (id string, err error) {
	if !p.n.transport.Hearsay().Wait(p.n.life.stop) {
		return "", errStopped
	}
	return p.n.transport.Identify(addr, timeout)
}

// look asks who answers at an address, when its turn comes, and calls f with the
// answer; not if too many wait already.
func (p *prober) look(addr string, f func(id string, err error)) {
	if p.waiting() < maxWaiting {
		p.work(&p.identifies, func() { f(p.identify(addr, p.late.Patience(p.n.cfg.Detection.StreamTimeout))) })
	}
}

// answerIdentify finds out who answers at an address. After any error no node does:
// the table asks again if that matters.
func (p *prober) answerIdentify(e members.Identify) {
	p.n.view.step(members.Identifying(e))
	id, err := p.identify(e.Addr, p.late.Patience(p.n.cfg.Detection.StreamTimeout))
	if err != nil {
		id = ""
	}
	p.n.view.step(members.Identified{Addr: e.Addr, ID: id})
}

// answerCompare finds out whether two members of one name both live. One whose address
// refuses has failed.
func (p *prober) answerCompare(e members.Compare) {
	both := true
	for _, m := range []members.Member{e.Older, e.Newer} {
		if m.ID() == p.n.id {
			continue
		}
		id, err := p.identify(m.Addr, p.late.Patience(p.n.cfg.Detection.StreamTimeout))
		if refusedError(err) {
			p.n.view.judge(members.Unreachable{ID: m.ID(), Cause: members.CauseRefused})
		}
		if both = err == nil && id == m.ID(); !both {
			break
		}
	}
	p.n.view.step(members.Compared{Compare: e, Both: both})
}

// answerVerify asks a member that gossip has declared dead one last time. A killed
// process refuses the connection, which costs no time; a lost host costs one
// ProbeTimeout.
func (p *prober) answerVerify(m members.Member) {
	unsure, inDoubt := false, false
	p.n.view.with(func(t *members.Table) { inDoubt, unsure = t.InDoubt(m.ID()), t.Unsure(time.Now()) })
	if !inDoubt { // since it waited its turn
		p.n.view.step(members.Verified{ID: m.ID()})
		return
	}
	alive, refused, done := p.verify(publicMember(m), unsure)
	defer done() // so that no more run than the pool has goroutines
	// Its view of itself is what the others must hear: gossip, which reaches the dead for a
	// while, or an exchange shows it the verdict, which it then refutes.
	refutes := p.late.Patience(5 * p.n.cfg.Detection.ProbeInterval)
	if alive && !(unsure && p.awaitListed(m.ID(), refutes)) {
		p.n.healer.exchange(m.ID(), m.Addr)
		p.awaitListed(m.ID(), refutes)
	}
	if !p.n.life.stopping() {
		p.n.view.step(members.Verified{ID: m.ID(), Refused: refused})
	}
}

// verify reports whether the member answers a packet or a connection, and whether its
// address refuses connections. It returns at the first certainty, or after
// ProbeTimeout, or unsureTries times that if this node mistrusts what it hears. done
// waits until what it has started has ended, about a ProbeTimeout.
//
// Both ways at once: a packet can be lost, or UDP dropped on the way, and a killed
// process is known by the refusal of the connection long before a time-out. A node that
// mistrusts what it hears asks by packets first, one after another: most likely the
// member lives, and a connection takes as much time of the processor as dozens of
// packets, on both sides.
func (p *prober) verify(m Member, unsure bool) (alive, refused bool, done func()) {
	tries := 1
	if unsure {
		if p.hears(m) {
			return true, false, func() {}
		}
		tries = unsureTries
	}
	type answer struct{ alive, refused bool }
	answers := make(chan answer, 2)
	var both sync.WaitGroup
	try := func(f func() answer) {
		both.Add(1)
		if !p.n.life.spawn(func() {
			defer both.Done()
			answers <- f()
		}) {
			both.Done()
		}
	}
	try(func() answer { return answer{alive: p.ping(m, 1)} })
	try(func() answer {
		got, err := p.identify(m.Addr, time.Duration(tries)*p.n.cfg.Detection.ProbeTimeout)
		// Another boot at the address refuses for this one.
		return answer{err == nil && got == m.ID(), refusedError(err) || err == nil && got != m.ID()}
	})
	for range 2 {
		select {
		case a := <-answers:
			if a.alive || a.refused {
				return a.alive, a.refused, both.Wait
			}
		case <-p.n.life.stop:
			return false, false, both.Wait
		}
	}
	return false, false, both.Wait
}

// hears pings a member unsureTries times and reports whether any packet of it has come
// meanwhile: to a node that is late the answer comes after memberlist has given it up.
func (p *prober) hears(m Member) bool {
	start := time.Now()
	for range unsureTries {
		if p.ping(m, 1) || p.n.transport.HeardSince(m.ID(), start) {
			return true
		}
	}
	return false
}

// awaitListed waits until gossip holds the member alive, for d at most, and reports
// whether it does, or the member is forgotten.
func (p *prober) awaitListed(id string, d time.Duration) bool {
	deadline := time.After(d)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		p.n.view.drain()
		known, listed := false, false
		p.n.view.with(func(t *members.Table) {
			_, known = t.Get(id)
			listed = t.Holds(id)
		})
		if !known || listed {
			return true
		}
		select {
		case <-tick.C:
		case <-deadline:
			return false
		case <-p.n.life.stop:
			return false
		}
	}
}

// answerProbeAll asks every member of e, in the view or not, whether it is there. It does
// not wait for the rate of hearsay: the table asks at most once a second, and only
// while it suspects a partition, when the answers are worth most.
func (p *prober) answerProbeAll(e members.ProbeAll) {
	limit := make(chan struct{}, probeAllAtOnce)
	var all sync.WaitGroup
	for _, m := range e.Members {
		limit <- struct{}{}
		all.Go(func() {
			defer func() { <-limit }()
			m := publicMember(m)
			ok, gone := m.State.Present() && p.ping(m, 1), false
			if !ok {
				ok, gone = p.probe(m)
			}
			p.n.view.step(members.Probed{ID: m.ID(), Answered: ok, Gone: gone, Proved: p.n.proved(m.ID())})
		})
	}
	all.Wait()
	p.n.view.step(members.ProbedAll{})
}

// probe reports whether the member answers a packet or a connection, or else whether
// its address says that it is gone.
func (p *prober) probe(m Member) (ok, gone bool) {
	answered := make(chan bool, 1)
	go func() { answered <- p.ping(m, 3) }()
	got, err := p.n.transport.Identify(m.Addr, min(probeAllTimeout, p.n.cfg.Detection.StreamTimeout))
	switch {
	case err == nil:
		ok, gone = got == m.ID(), got != m.ID()
	default:
		gone = refusedError(err) || strings.Contains(err.Error(), noGossip)
	}
	return <-answered || ok, gone
}

// waiting returns how many questions about addresses wait for their turn.
func (p *prober) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.identifies.queue)
}
