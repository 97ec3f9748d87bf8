package main

import (
	"context"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
)

// A row is one line of the table: what is measured, what it should be, and how.
// run returns the samples of one run, in the row's unit.
type row struct {
	name   string
	unit   string
	target string
	median float64 // at most; 0: no limit
	worst  float64 // at most, of the 99th percentile; negative: no limit
	quick  bool    // part of the quick table
	runs   int     // in the full table
	run    func() ([]float64, error)
}

const (
	seconds = "s"
	killed  = "routing stops choosing a killed worker, idle"
	silent  = "routing stops choosing a worker that fell silent, idle"
)

// rows of the table. The quick one uses five nodes and short times.
func rows(quick bool) []row {
	if quick {
		return []row{
			joins(5), kills(5, 1.4, 2.0), routing(killed, syscall.SIGKILL, "<= 10", 10), routing(silent, syscall.SIGSTOP, "<= 290", 290),
			restarts(5), leaves(5), losses(5, 5*time.Second), stalls(),
			splits(5, 3, 4*time.Second, 8)[0], splits(5, 3, 4*time.Second, 8)[1], idles(5, 3*time.Second, 0), idles(5, 3*time.Second, 1),
		}
	}
	rs := []row{
		joins(20), kills(5, 1.4, 2.0), kills(20, 1.6, 2.8),
		routing(killed, syscall.SIGKILL, "<= 10", 10), routing(silent, syscall.SIGSTOP, "<= 290", 290), restarts(20), leaves(20),
		losses(20, 10*time.Minute), stalls(),
	}
	for _, length := range []time.Duration{10 * time.Second, time.Minute} {
		rs = append(rs, splits(10, 7, length, 8)...)
		rs = append(rs, splits(20, 10, length, 8)...)
		rs = append(rs, splits(20, 16, length, 12)...)
	}
	return append(rs, idles(20, 10*time.Second, 0), idles(20, 10*time.Second, 1))
}

func toSeconds(ds []time.Duration) (xs []float64) {
	for _, d := range ds {
		xs = append(xs, d.Seconds())
	}
	return xs
}

// joins measures how long after the last Join all views are equal.
func joins(n int) row {
	return row{fmt.Sprintf("%d nodes join through random members: views equal", n), seconds, "<= 1", 0, 1, true, 20, func() ([]float64, error) {
		f := &fleet{}
		defer f.close()
		for range n {
			if err := f.add(); err != nil {
				return nil, err
			}
		}
		d, err := f.whole(time.Now(), 30*time.Second)
		return []float64{d.Seconds()}, err
	}}
}

// kills measures how long every survivor needs to see a killed node as failed,
// and that each is told once.
func kills(n int, median, worst float64) row {
	name := fmt.Sprintf("NodeFailed everywhere after a kill, N=%d", n)
	return row{name, seconds, fmt.Sprintf("median %.1f, p99 %.1f", median, worst), median, worst, n == 5, 20, func() ([]float64, error) {
		f, err := newFleet(n, cluster.Config{})
		if err != nil {
			return nil, err
		}
		defer f.close()
		victim := f.ships[n/2]
		start := time.Now()
		f.kill(victim)
		failed := func(e cluster.Event) bool { return e.Kind == cluster.NodeFailed }
		took, err := f.everyone(start, 30*time.Second, func(_ *ship, e cluster.Event) bool {
			return failed(e) && e.Member.Name == victim.name
		})
		if got := f.count(start, failed); err == nil && got != n-1 {
			err = fmt.Errorf("%d NodeFailed at %d survivors", got, n-1)
		}
		return toSeconds(took), err
	}}
}

// restarts measures how long all others need to know a node that was killed and
// started again at its address 0.1 s later, counted from the start of its Join.
func restarts(n int) row {
	return row{fmt.Sprintf("restart at the same address known everywhere, N=%d", n), seconds, "<= 0.3", 0, 0.3, true, 20, func() ([]float64, error) {
		f, err := newFleet(n, cluster.Config{})
		if err != nil {
			return nil, err
		}
		defer f.close()
		s := f.ships[n-1]
		s.node.Close()
		<-s.watch
		time.Sleep(100 * time.Millisecond)
		start := time.Now()
		if err := f.join(s); err != nil {
			return nil, err
		}
		boot := s.node.Self().Boot
		took, err := f.everyone(start, 30*time.Second, func(at *ship, e cluster.Event) bool {
			return e.Kind == cluster.NodeJoined && e.Member.Boot == boot
		})
		return toSeconds(took[:n-1]), err
	}}
}

// leaves measures how long all others need to see NodeLeft, from the call of
// Leave.
func leaves(n int) row {
	return row{fmt.Sprintf("NodeLeft everywhere, N=%d", n), seconds, "<= 0.2", 0, 0.2, true, 20, func() ([]float64, error) {
		f, err := newFleet(n, cluster.Config{})
		if err != nil {
			return nil, err
		}
		defer f.close()
		s := f.ships[n-1]
		f.ships = f.ships[:n-1]
		defer s.ep.Close()
		start := time.Now()
		go s.node.Leave(context.Background())
		took, err := f.everyone(start, 30*time.Second, func(_ *ship, e cluster.Event) bool {
			return e.Kind == cluster.NodeLeft && e.Member.Name == s.name
		})
		<-s.node.Done()
		if got := f.count(start, func(e cluster.Event) bool { return e.Kind == cluster.NodeFailed }); err == nil && got > 0 {
			err = fmt.Errorf("%d NodeFailed", got)
		}
		return toSeconds(took), err
	}}
}

// losses counts false failures at 5 % loss of packets.
func losses(n int, length time.Duration) row {
	return row{fmt.Sprintf("false NodeFailed in %v at 5 %% loss, N=%d", length, n), "events", "0", 0, 0, true, 1, func() ([]float64, error) {
		f, err := newFleet(n, cluster.Config{})
		if err != nil {
			return nil, err
		}
		defer f.close()
		f.net.Loss(0.05)
		start := time.Now()
		time.Sleep(length)
		return []float64{float64(f.count(start, func(e cluster.Event) bool { return e.Kind == cluster.NodeFailed }))}, nil
	}}
}

// splits measures, in two rows, how long all nodes need to name their side of a
// split of n nodes, the first k of them on one side, and how long all views need
// to be whole after it has healed.
func splits(n, k int, length time.Duration, limit float64) []row {
	baseline := 5 * time.Second
	if length < 10*time.Second {
		baseline = time.Second
	}
	var named, healed []float64
	once := func() error {
		f, err := newFleet(n, cluster.Config{PartitionBaseline: baseline})
		if err != nil {
			return err
		}
		defer f.close()
		time.Sleep(baseline + 500*time.Millisecond)
		start := time.Now()
		side := f.side(k)
		f.net.Split(side)
		took, err := f.everyone(start, length+30*time.Second, func(s *ship, e cluster.Event) bool {
			if e.Kind != cluster.PartitionDetected {
				return false
			}
			majority := side[s.node.Self().Addr] == (2*k >= n)
			if 2*k == n { // a tie: the lowest name is in the first half
				majority = side[s.node.Self().Addr]
			}
			return (e.Partition.Side == cluster.SideMajority) == majority
		})
		if err != nil {
			return fmt.Errorf("naming the side: %w", err)
		}
		named = append(named, toSeconds(took)...)
		time.Sleep(time.Until(start.Add(length)))
		f.net.Heal()
		d, err := f.whole(time.Now(), time.Minute)
		if err != nil {
			return fmt.Errorf("healing: %w", err)
		}
		healed = append(healed, d.Seconds())
		return nil
	}
	what := fmt.Sprintf("split %d/%d for %v", k, n-k, length)
	heals := 5.0
	if length >= time.Minute {
		heals = 10
	}
	return []row{
		{what + ": right side named by all", seconds, fmt.Sprintf("<= %.0f", limit), 0, limit, true, 20, func() ([]float64, error) {
			err := once()
			got := named
			named = nil
			return got, err
		}},
		// Measured by the row above, run by run.
		{what + ": all views whole after the heal", seconds, fmt.Sprintf("<= %.0f", heals), 0, heals, true, 20, func() ([]float64, error) {
			if len(healed) == 0 {
				if err := once(); err != nil {
					return nil, err
				}
				named = nil
			}
			got := healed[:1]
			healed = healed[1:]
			return got, nil
		}},
	}
}

// idles measures the processor time (what=0) or the goroutines (what=1) of a
// node in a cluster where nothing happens.
func idles(n int, length time.Duration, what int) row {
	r := row{fmt.Sprintf("idle cost of a node, N=%d: share of a core", n), "%", "<= 0.4", 0, 0.4, true, 3, nil}
	if what == 1 {
		r = row{fmt.Sprintf("idle cost of a node, N=%d: goroutines", n), "", "<= 10", 0, 10, true, 1, nil}
	}
	r.run = func() ([]float64, error) {
		before := runtime.NumGoroutine()
		f, err := newFleet(n, cluster.Config{})
		if err != nil {
			return nil, err
		}
		defer f.close()
		time.Sleep(2 * time.Second) // the exchanges after joining
		if what == 1 {
			watches := n // the benchmark's own
			lowest := runtime.NumGoroutine()
			for range 100 { // between two dials
				time.Sleep(5 * time.Millisecond)
				lowest = min(lowest, runtime.NumGoroutine())
			}
			return []float64{float64(lowest-before-watches) / float64(n)}, nil
		}
		cpu, start := processorTime(), time.Now()
		time.Sleep(length)
		return []float64{100 * (processorTime() - cpu).Seconds() / time.Since(start).Seconds() / float64(n)}, nil
	}
	return r
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
