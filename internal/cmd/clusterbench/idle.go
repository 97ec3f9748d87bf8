//go:build unix

package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/rpcnet-go/rpcnet/cluster"
)

// besideMemberlist measures an idle cluster of n nodes beside n nodes of memberlist
// alone: the same version of it, the same intervals, on the same machine in turns of
// length each. memberlist encrypts its packets with AES-GCM under one key of all, since
// the packets of a node of ours are sealed too, under a key for each pair.
func besideMemberlist(n int, length time.Duration) row {
	what := fmt.Sprintf("idle node, N=%d: ", n)
	lines := []line{
		{what + "processor time, times that of memberlist alone", "", "<= 1.2", 1.2, -1},
		{what + "share of a core", "%", "", 0, -1},
		{what + "allocations in a second", "", "", 0, -1},
		{what + "memberlist alone: share of a core", "%", "", 0, -1},
		{what + "memberlist alone: allocations in a second", "", "", 0, -1},
	}
	return row{lines, 5, 1, func(*berth) ([]outcome, error) {
		ours, err := idleOurs(n, length)
		if err != nil {
			return nil, err
		}
		alone, err := idleMemberlist(n, length)
		if err != nil {
			return nil, err
		}
		out := make([]outcome, 0, len(lines))
		for _, x := range []float64{ours.share / alone.share, ours.share, ours.allocations, alone.share, alone.allocations} {
			out = append(out, outcome{samples: []float64{x}})
		}
		return out, nil
	}}
}

// A cost is what one node costs in a second: the share of a core in per cent, and how
// many objects it allocates.
type cost struct{ share, allocations float64 }

// idleCost measures what n nodes of this process cost while they idle.
func idleCost(n int, length time.Duration) cost {
	time.Sleep(3 * time.Second) // the exchanges after joining
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := processorTime(), time.Now()
	time.Sleep(length)
	used, took := processorTime()-cpu, time.Since(start).Seconds()
	runtime.ReadMemStats(&after)
	return cost{100 * used.Seconds() / took / float64(n), float64(after.Mallocs-before.Mallocs) / took / float64(n)}
}

// idleOurs measures a node of this module.
func idleOurs(n int, length time.Duration) (cost, error) {
	f, err := newFleet(n, cluster.Config{})
	if err != nil {
		return cost{}, err
	}
	defer f.close()
	return idleCost(n, length), nil
}

// idleMemberlist measures a node of memberlist alone.
func idleMemberlist(n int, length time.Duration) (cost, error) {
	key := make([]byte, 32)
	rand.Read(key)
	var lists []*memberlist.Memberlist
	defer func() {
		for _, l := range lists {
			l.Shutdown()
		}
	}()
	for i := range n {
		c := memberlist.DefaultLANConfig()
		c.Name = fmt.Sprintf("n%03d", i)
		c.BindAddr, c.BindPort = "127.0.0.1", 0
		// The intervals of the profile "lan" of package cluster.
		c.ProbeInterval, c.ProbeTimeout, c.IndirectChecks = 200*time.Millisecond, 100*time.Millisecond, 3
		c.SuspicionMult, c.SuspicionMaxTimeoutMult = 4, 3
		c.GossipInterval, c.GossipNodes, c.RetransmitMult = 100*time.Millisecond, 3, 4
		c.PushPullInterval, c.TCPTimeout, c.GossipToTheDeadTime = 15*time.Second, 2*time.Second, 30*time.Second
		c.EnableCompression = false
		c.SecretKey = key
		c.LogOutput = io.Discard
		l, err := memberlist.Create(c)
		if err != nil {
			return cost{}, err
		}
		lists = append(lists, l)
		if _, err := l.Join([]string{lists[0].LocalNode().Address()}); err != nil {
			return cost{}, err
		}
	}
	return idleCost(n, length), nil
}
