package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// firstRetry is the first wait between attempts to reach the seeds.
const firstRetry = 250 * time.Millisecond

// firstContact is Join's attempt to reach the seeds.
func (n *Node) firstContact(ctx context.Context) error {
	if len(n.cfg.Seeds) == 0 && len(n.heal.snapshot) == 0 {
		n.markJoined()
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.JoinTimeout)
	defer cancel()
	wait := firstRetry
	for {
		reached, err := n.trySeeds(ctx)
		if reached {
			return nil
		}
		if len(n.cfg.Seeds) == 0 {
			n.lines.Log(slog.LevelInfo, "seeds", "no member of the snapshot answers; this node goes on trying in the background", "err", err)
			n.markJoined() // the snapshot alone is no promise
			return nil
		}
		if !n.cfg.WaitForSeed {
			n.lines.Log(slog.LevelWarn, "seeds", "no seed answers; this node goes on trying in the background", "seeds", n.cfg.Seeds, "err", err)
			return nil
		}
		if !n.pauseIn(ctx, wait) {
			return fmt.Errorf("cluster: no seed of %s answered within %v: %w", strings.Join(n.cfg.Seeds, ", "), n.cfg.JoinTimeout, err)
		}
		wait = min(2*wait, time.Second)
	}
}

// pauseIn waits, and reports whether ctx is not over.
func (n *Node) pauseIn(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (n *Node) markJoined() { n.joinOnce.Do(func() { close(n.joined) }) }

// trySeeds resolves the seeds and joins all of them at once.
func (n *Node) trySeeds(ctx context.Context) (reached bool, _ error) {
	addrs, errs := n.resolveSeeds(ctx)
	if len(addrs) == 0 && len(errs) == 0 { // this node is the only seed
		n.markJoined()
		return true, nil
	}
	results := make(chan error, len(addrs))
	for _, a := range addrs {
		go func() { results <- n.exchange("", a) }()
	}
wait:
	for i := range addrs {
		select {
		case err := <-results:
			if err == nil {
				reached = true
			} else {
				errs = append(errs, err)
			}
		case <-ctx.Done(): // the attempts end by themselves, within StreamTimeout
			errs = append(errs, fmt.Errorf("still waiting for %d of %s: %w", len(addrs)-i, strings.Join(addrs, ", "), ctx.Err()))
			break wait
		}
	}
	if reached {
		n.markJoined()
		n.heal.scheduleResync(time.Now())
	}
	return reached, errors.Join(errs...)
}

// resolveSeeds returns the addresses of the seeds and of the snapshot but not
// this node's own. Those of the snapshot are seeds if there are no others.
func (n *Node) resolveSeeds(ctx context.Context) (addrs []string, errs []error) {
	found := map[string]bool{}
	for _, s := range n.cfg.Seeds {
		host, port, _ := net.SplitHostPort(s)
		ips := []string{host}
		if _, err := netip.ParseAddr(host); err != nil {
			if ips, err = n.cfg.Resolve(ctx, host); err != nil {
				errs = append(errs, fmt.Errorf("seed %s: %w", s, err))
				continue
			}
		}
		for _, ip := range ips {
			a, err := netip.ParseAddrPort(net.JoinHostPort(ip, port))
			if err != nil {
				errs = append(errs, fmt.Errorf("seed %s resolves to %q, which is no address", s, ip))
				continue
			}
			found[netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()] = true
		}
	}
	all := maps.Clone(found)
	for _, a := range n.heal.snapshot {
		all[a] = true
	}
	if len(n.cfg.Seeds) == 0 {
		found = all
	}
	delete(found, n.advertise.String())
	delete(all, n.advertise.String())
	n.heal.mu.Lock()
	n.heal.seedAddrs = found
	n.heal.mu.Unlock()
	return slices.Sorted(maps.Keys(all)), errs
}

// healSeeds tries the seeds again while none of them is in the view.
func (n *Node) healSeeds(now time.Time) {
	if len(n.cfg.Seeds) == 0 && len(n.heal.snapshot) == 0 {
		return
	}
	h := &n.heal
	h.mu.Lock()
	due := !h.seedBusy && now.After(h.nextSeed)
	known := h.seedAddrs
	h.mu.Unlock()
	if !due {
		return
	}
	inView := false
	n.mu.Lock()
	for _, m := range n.members {
		if known[m.Addr] && m.listed && m.ID() != n.id {
			inView = true
			break
		}
	}
	n.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if inView || len(known) == 0 && h.onlySelf(n) {
		h.seedWait = firstRetry
		h.nextSeed = now.Add(firstRetry)
		return
	}
	h.seedBusy = true
	n.spawn(func() {
		ctx, cancel := context.WithTimeout(context.Background(), n.cfg.StreamTimeout+time.Second)
		stop := context.AfterFunc(n.stopContext(), cancel)
		_, err := n.trySeeds(ctx)
		stop()
		cancel()
		if err != nil {
			n.lines.Log(slog.LevelDebug, "seeds", "no seed answers yet", "err", err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.seedBusy = false
		h.nextSeed = time.Now().Add(jitter(h.seedWait))
		h.seedWait = min(2*h.seedWait, n.cfg.SeedInterval)
	})
}

// onlySelf reports whether the seeds have been resolved, to this node alone.
func (h *healer) onlySelf(n *Node) bool {
	for _, s := range n.cfg.Seeds {
		if s != n.advertise.String() {
			return false
		}
	}
	return true
}
