package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/cluster/internal/members"
	"github.com/rpcnet-go/rpcnet/internal/contexts"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

const (
	// firstRetry is the first wait between attempts to reach the seeds.
	firstRetry = 250 * time.Millisecond
	// lookupTimeout is how long one name of a seed may take to be looked up.
	lookupTimeout = 5 * time.Second
	// maxSeedAddrs is how many addresses of one name are tried at a time, by
	// chance: a name may stand for the whole cluster.
	maxSeedAddrs = 16
	// islandFactor times Config.Discovery.SeedInterval is the longest time between two
	// looks at the seeds while one of them is in the view.
	islandFactor = 6
)

// A seed is one entry of Config.Seeds or of the file of members. It is looked up and
// dialled independently of the others. Its fields from busy on are guarded by the
// seeder's mu.
type seed struct {
	text, host, port string
	literal          bool   // an address, not a name
	remembered       bool   // from the file of members
	verifiedBy       string // the name that a certificate there may carry, "" for the address alone

	busy    bool              // being looked up or dialled
	addrs   []string          // what it stood for last, without this node's own
	behind  map[string]string // which member answered at an address of these
	unknown bool              // it could not be looked up last time, which has been logged
	alone   bool              // it stood for this node alone, which has been logged
}

// A seeder reaches the seeds: at first for Join, and then for as long as the node runs. It
// also writes the file of members for the next start. The run goroutine drives it.
//
// The seeds stay of interest after the node has joined. If two parts of a cluster lose
// each other and the seeds of one are replaced, only the names of the seeds lead from one
// part to the other.
type seeder struct {
	n     *Node
	seeds []*seed    // immutable
	mu    sync.Mutex // guards the seeds' fields; comes before the view's

	// What follows is the run goroutine's.
	inView bool          // a seed is in the view
	looked time.Time     // when that was looked at
	wait   time.Duration // until the next attempt, while none is
	next   time.Time     // the next attempt

	saved   []rememberedMember // what the file holds now
	savedAt time.Time
}

// newSeeder returns a seeder whose first attempt is Join's, and the next soon after.
func newSeeder(n *Node, seeds []*seed) *seeder {
	return &seeder{n: n, seeds: seeds, wait: firstRetry, next: time.Now().Add(firstRetry)}
}

// promised reports whether the configuration names a seed. If only the file of members
// does, the cluster is perhaps gone, and this node its first again.
func promised(seeds []*seed) bool {
	return slices.ContainsFunc(seeds, func(s *seed) bool { return !s.remembered })
}

// warnOfNoName logs that the cluster has no name of its own. With seeds it is a
// warning, since a wrong seed can belong to another cluster without a name.
func (r *seeder) warnOfNoName() {
	level := slog.LevelInfo
	if len(r.seeds) > 0 {
		level = slog.LevelWarn
	}
	r.n.log.Log(backgroundCtx, level, "this cluster has no name of its own: through a wrong seed it would become one with any other "+
		"of the same certificate authority that has none either; give each a name with cluster.Config.Cluster", "cluster", r.n.cfg.Cluster)
}

// newSeeds returns the seeds of a configuration and of the file of members, without the
// node's own address.
func newSeeds(seeds []string, known []rememberedMember, own string) (all []*seed) {
	add := func(text, verifiedBy string, remembered bool) {
		host, port, _ := net.SplitHostPort(text)
		_, err := netip.ParseAddr(host)
		s := &seed{text: text, host: host, port: port, literal: err == nil, remembered: remembered, verifiedBy: verifiedBy}
		// An address is known for good. A name is looked up at each attempt, and is the
		// name that the certificate there must carry.
		if s.literal {
			if s.addrs = []string{seedAddr(host, port)}; s.addrs[0] == own {
				return
			}
		} else {
			s.verifiedBy = host
		}
		all = append(all, s)
	}
	for _, s := range seeds {
		add(s, "", false)
	}
	for _, m := range known {
		if !slices.Contains(seeds, m.Addr) {
			add(m.Addr, m.ServerName, true)
		}
	}
	return all
}

// seedAddr returns an address in the form in which members carry it, or "" if
// it is none.
func seedAddr(ip, port string) string {
	a, err := netip.ParseAddrPort(net.JoinHostPort(ip, port))
	if err != nil {
		return ""
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
}

// firstContact is Join's attempt to reach the seeds. Without WaitForSeed it is one attempt
// at each; with it, attempts follow each other until the time is over. An error means
// that Join fails.
func (r *seeder) firstContact(ctx context.Context) error {
	if len(r.seeds) == 0 {
		return nil
	}
	n := r.n
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Discovery.JoinTimeout)
	defer cancel()
	wait := firstRetry
	var err error
	for {
		var reached bool
		if reached, err = r.await(ctx, r.trySeeds(false), err); reached {
			return nil
		}
		// Only the file of members has addresses, and none answers: the node is the first
		// of its cluster, as it would be without the file.
		if !promised(r.seeds) {
			n.lines.Log(slog.LevelInfo, "seeds", "no member of the file of members answers; this node goes on trying in the background", "err", err)
			return nil
		}
		if !n.cfg.Discovery.WaitForSeed {
			n.lines.Log(slog.LevelWarn, "seeds", "no seed answers; this node goes on trying in the background", "seeds", n.cfg.Seeds, "err", err)
			return nil
		}
		if !contexts.Sleep(ctx, wait) {
			return fmt.Errorf("cluster: no seed of %s answered within %v: %w", strings.Join(n.cfg.Seeds, ", "), n.cfg.Discovery.JoinTimeout, err)
		}
		wait = min(2*wait, time.Second)
	}
}

// await waits for the first good result, for all results, or for the end of ctx.
// Its error says all that went wrong; if nothing is known yet, what did before.
func (r *seeder) await(ctx context.Context, results <-chan error, before error) (reached bool, _ error) {
	var errs []error
	for {
		select {
		case err, more := <-results:
			switch {
			case !more && len(errs) == 0: // others are trying already
				return false, before
			case !more:
				return false, errors.Join(errs...)
			case err == nil:
				return true, nil
			}
			errs = append(errs, err)
		case <-r.n.life.stop:
			return false, errStopped
		case <-ctx.Done(): // the attempts go on, each as long as it may
			if len(errs) == 0 && before != nil {
				return false, before
			}
			return false, errors.Join(append(errs, fmt.Errorf("still waiting for %s: %w", strings.Join(r.waiting(), ", "), ctx.Err()))...)
		}
	}
}

// waiting returns the seeds of which nothing is known yet.
func (r *seeder) waiting() (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.seeds {
		if s.busy {
			names = append(names, s.text)
		}
	}
	return names
}

// trySeeds looks the seeds up and exchanges state with the nodes behind them,
// each on a goroutine of its own, but not with those that it is busy with. With
// strangers it does so only with addresses that no member has. The channel that it
// returns gets nil for each node that has answered and an error for each failure, and
// is closed in the end.
func (r *seeder) trySeeds(strangers bool) <-chan error {
	r.mu.Lock()
	var free []*seed
	for _, s := range r.seeds {
		if !s.busy && !(strangers && s.remembered) {
			s.busy = true
			free = append(free, s)
		}
	}
	r.mu.Unlock()
	results := make(chan error, len(free)*(maxSeedAddrs+1))
	if len(free) == 0 { // all are busy with an earlier attempt
		close(results)
	}
	// The last to end closes results. Its room is for all that the others may send, so that
	// nothing waits for a reader that has gone.
	var left atomic.Int64
	left.Store(int64(len(free)))
	for _, s := range free {
		r.n.life.spawn(func() {
			r.trySeed(s, strangers, results)
			r.mu.Lock()
			s.busy = false
			r.mu.Unlock()
			if left.Add(-1) == 0 {
				close(results)
			}
		})
	}
	return results
}

// trySeed looks one seed up and exchanges state with the nodes behind it, all
// at once. It sends at most maxSeedAddrs+1 results.
func (r *seeder) trySeed(s *seed, strangers bool, results chan<- error) {
	addrs, err := r.lookUp(s)
	if err != nil {
		results <- err
		return
	}
	if strangers {
		addrs = r.withoutMembers(addrs)
	}
	var attempts sync.WaitGroup
	for _, a := range addrs {
		attempts.Go(func() { results <- r.trySeedAt(s, a) })
	}
	attempts.Wait()
}

// trySeedAt exchanges state with the node at an address of a seed.
func (r *seeder) trySeedAt(s *seed, addr string) error {
	n := r.n
	err := n.healer.exchange("", addr)
	var claim *gossip.ClaimError
	switch {
	case errors.Is(err, gossip.ErrSelf):
		err = fmt.Errorf("the seed %s is this node itself, which advertises %s: leave it out of Config.Seeds, or set Config.Advertise "+
			"if that is not where others reach this node", addr, n.advertise)
		n.reach.warnOnce("seed "+addr, "a seed leads to this node", err)
	case errors.As(err, &claim):
		n.reach.warnOnce("claim "+claim.ID, "a seed has the address of this node", err)
	case err == nil:
		id := n.transport.AnsweredAt(addr)
		r.mu.Lock()
		if s.behind == nil || len(s.behind) >= maxSeedAddrs {
			s.behind = map[string]string{}
		}
		s.behind[addr] = id
		r.mu.Unlock()
		n.healer.scheduleResync(time.Now())
		n.reach.compareRoute(addr)
	}
	return err
}

// lookUp returns at most maxSeedAddrs addresses that a seed stands for, in an
// order of chance and without this node's own.
func (r *seeder) lookUp(s *seed) ([]string, error) {
	if s.literal {
		return s.addrs, nil
	}
	ips, err := resolve(r.n.life.context(), &r.n.cfg, s.host)
	var addrs []string
	own := false
	for _, ip := range ips {
		switch a := seedAddr(ip, s.port); {
		case a == "":
			err = errors.Join(err, fmt.Errorf("it has the address %q, which is none", loglimit.Cut(ip)))
		case a == r.n.advertise.String():
			own = true
		case !slices.Contains(addrs, a):
			addrs = append(addrs, a)
		}
	}
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	addrs = addrs[:min(len(addrs), maxSeedAddrs)]
	if len(addrs) == 0 && err == nil {
		err = errors.New("it stands for no address")
		if own {
			err = errors.New("it stands for this node alone")
		}
	}
	r.noteLookUp(s, addrs, own, err)
	if len(addrs) == 0 {
		return nil, fmt.Errorf("seed %s: %w", s.text, err)
	}
	return addrs, nil
}

// noteLookUp keeps what a name stands for, and says once what is wrong with it.
func (r *seeder) noteLookUp(s *seed, addrs []string, own bool, err error) {
	r.mu.Lock()
	alone, unknown := len(addrs) == 0 && own, len(addrs) == 0 && !own
	sayAlone := alone && !s.alone && !r.n.life.hasJoined()
	sayUnknown, sayKnown := unknown && !s.unknown, !unknown && s.unknown
	s.alone, s.unknown = alone, unknown
	if !unknown || s.addrs == nil { // else it may be a failure of the resolver
		r.n.names.standFor(s, s.addrs, addrs)
		s.addrs = addrs
	}
	r.mu.Unlock()
	switch {
	case sayUnknown:
		r.n.log.Warn("the name of a seed cannot be looked up; it is asked again for ever", "seed", s.text, "err", err)
	case sayKnown:
		r.n.log.Info("the name of a seed can be looked up again", "seed", s.text, "addresses", addrs)
	}
	if sayAlone {
		r.n.log.Warn("the name of a seed stands for this node alone, which has joined nobody yet; it is asked again for ever. "+
			"If this node may be the only one, set Config.ExpectNodes to 1", "seed", s.text)
	}
}

// resolve looks a name up. It returns after lookupTimeout even if
// Config.Discovery.Resolve does not.
func resolve(ctx context.Context, cfg *Config, host string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	type answer struct {
		ips []string
		err error
	}
	answers := make(chan answer, 1)
	go func() { // not waited for: it may ignore its context
		ips, err := cfg.Discovery.Resolve(ctx, host)
		answers <- answer{ips, err}
	}()
	select {
	case a := <-answers:
		return a.ips, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("the resolver has not answered within %v: %w", lookupTimeout, ctx.Err())
	}
}

// withoutMembers returns those addresses that no member of the view has.
func (r *seeder) withoutMembers(addrs []string) []string {
	taken := map[string]bool{}
	r.n.view.with(func(t *members.Table) {
		for m := range t.Listed() {
			taken[m.Addr] = true
		}
	})
	return slices.DeleteFunc(slices.Clone(addrs), func(a string) bool { return taken[a] })
}

// tryAgain tries the seeds again: soon, and then every SeedInterval, while none
// of them is in the view; else every islandFactor times as long those addresses
// that no member has, since a part of the cluster that this node does not know can be
// there. The run goroutine calls it at every tick.
func (r *seeder) tryAgain(now time.Time) {
	if len(r.seeds) == 0 || now.Sub(r.looked) < firstRetry {
		return
	}
	r.looked = now
	// The wait starts anew when the seeds come into the view or leave it: those that are
	// gone are looked for as quickly as in the beginning.
	inView := r.seedInView()
	if inView != r.inView {
		r.inView, r.wait = inView, firstRetry
		r.next = now.Add(r.pause())
	}
	if now.Before(r.next) {
		return
	}
	r.next = now.Add(r.pause())
	r.n.life.spawn(func() {
		if _, err := r.await(r.n.life.context(), r.trySeeds(inView), nil); err != nil {
			r.n.lines.Log(slog.LevelDebug, "seeds", "a seed does not answer yet", "err", err)
		}
	})
}

// pause returns the time to the next attempt to reach the seeds.
func (r *seeder) pause() time.Duration {
	interval := r.n.cfg.Discovery.SeedInterval
	if r.inView {
		return jitter(islandFactor * interval)
	}
	wait := r.wait
	r.wait = min(2*wait, interval)
	return jitter(wait)
}

// seedInView reports whether a member has an address that a seed stands for, or
// has answered at one.
func (r *seeder) seedInView() (is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n.view.with(func(t *members.Table) {
		// Which node is behind a seed is most often known: no walk through the table.
		for _, s := range r.seeds {
			for _, a := range s.addrs {
				if id := s.behind[a]; id != r.n.id && t.Holds(id) {
					is = true
					return
				}
			}
		}
		for m := range t.Listed() {
			if m.Addr != r.n.advertise.String() && slices.ContainsFunc(r.seeds, func(s *seed) bool { return slices.Contains(s.addrs, m.Addr) }) {
				is = true
				return
			}
		}
	})
	return is
}
