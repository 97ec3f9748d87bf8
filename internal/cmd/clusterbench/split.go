//go:build unix

package main

import (
	"fmt"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
)

// splits measures, for two lines, how long all nodes need to name their side of a
// split of n nodes, the first k of them on one side, and how long all views need
// to be whole after it has healed.
func splits(n, k int, length time.Duration, limit float64) row {
	baseline := 5 * time.Second
	if length < 10*time.Second {
		baseline = time.Second
	}
	heals := 5.0
	if length >= time.Minute {
		heals = 10
	}
	what := fmt.Sprintf("split %d/%d for %v", k, n-k, length)
	lines := []line{
		{what + ": right side named by all", seconds, fmt.Sprintf("<= %.0f", limit), 0, limit},
		{what + ": all views whole after the heal", seconds, fmt.Sprintf("<= %.0f", heals), 0, heals},
	}
	// An idle fleet of 20 takes a twentieth of a core.
	atATime := 4
	if n <= 10 {
		atATime = 5
	}
	return row{lines, 20, atATime, func(b *berth) ([]outcome, error) {
		b.begin()
		f, err := newFleet(n, cluster.Config{Partition: cluster.PartitionConfig{Baseline: baseline}})
		if err != nil {
			return nil, err
		}
		defer f.close()
		b.ready()
		time.Sleep(baseline + 500*time.Millisecond)
		side := f.side(k)
		bigger := func(s *ship) bool {
			first := side[s.node.Self().Addr]
			if 2*k == n { // a tie: the lowest name is in the first half
				return first
			}
			return first == (2*k > n)
		}
		start := time.Now()
		f.net.Split(side)
		var named, healed outcome
		// Longer than any limit, to tell late from never.
		took, err := f.everyone(start, length+30*time.Second, func(s *ship, e cluster.Event) bool {
			return e.Kind == cluster.KindPartitionDetected && (e.Partition.Side == "majority") == bigger(s)
		}, func(s *ship) string {
			here, sizes := "minority", map[bool]int{true: k, false: n - k}
			if bigger(s) {
				here = "majority"
			}
			return fmt.Sprintf("one of %d, whose side is the %v", sizes[side[s.node.Self().Addr]], here)
		})
		named.samples = toSeconds(took)
		if err != nil {
			named.err = fmt.Errorf("naming the side: %w", err)
		}
		time.Sleep(time.Until(start.Add(length)))
		f.net.Heal()
		d, err := f.whole(time.Now(), time.Minute)
		if err != nil {
			healed.err = fmt.Errorf("healing: %w", err)
		} else {
			healed.samples = []float64{d.Seconds()}
		}
		return []outcome{named, healed}, nil
	}}
}
