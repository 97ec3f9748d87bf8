//go:build unix

package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
)

// A line is one line of the table: what is measured and what it should be.
type line struct {
	name   string
	unit   string
	target string
	median float64 // at most; 0: no limit
	worst  float64 // at most, of the 99th percentile; negative: no limit
}

// A row is what is measured together, for one line or more. One run of it
// returns an outcome for each line, or why there is none at all.
type row struct {
	lines   []line
	runs    int // in the full table
	atATime int // how many runs at the same time; 1 where a busy processor would show
	run     func(*berth) ([]outcome, error)
}

// single makes a row of one line. run returns the samples of one run.
func single(l line, runs, atATime int, run func(*berth) ([]float64, error)) row {
	return row{[]line{l}, runs, atATime, func(b *berth) ([]outcome, error) {
		xs, err := run(b)
		return []outcome{{xs, err}}, nil
	}}
}

const (
	seconds = "s"
	killed  = "routing stops choosing a killed worker"
	silent  = "routing stops choosing a worker that fell silent"
)

// routings are the rows of [routing].
func routings() []row {
	return []row{
		routing(killed, syscall.SIGKILL, false, 10), routing(killed, syscall.SIGKILL, true, 250),
		routing(silent, syscall.SIGSTOP, false, 290), routing(silent, syscall.SIGSTOP, true, 500),
	}
}

// rows of the table. The quick one uses five nodes and short times.
func rows(quick bool) []row {
	if quick {
		return slices.Concat([]row{joins(5), kills(5, 1.4, 2.0)}, routings(), []row{
			restarts(5), leaves(5), losses(5, 5*time.Second), stalls(),
			splits(5, 3, 4*time.Second, 8), idles(5, 3*time.Second),
		})
	}
	rs := slices.Concat([]row{joins(20), kills(5, 1.4, 2.0), kills(20, 1.6, 2.8)}, routings(), []row{
		restarts(20), leaves(20), losses(20, 10*time.Minute), stalls(),
	})
	for _, length := range []time.Duration{10 * time.Second, time.Minute} {
		rs = append(rs, splits(10, 7, length, 8), splits(20, 10, length, 8), splits(20, 16, length, 12))
	}
	return append(rs, idles(20, 10*time.Second), besideMemberlist(5, 10*time.Second), besideMemberlist(20, 10*time.Second), startups(100, 8, 10))
}

func toSeconds(ds []time.Duration) (xs []float64) {
	for _, d := range ds {
		xs = append(xs, d.Seconds())
	}
	return xs
}

// joins measures how long after the last Join all views are equal.
func joins(n int) row {
	l := line{fmt.Sprintf("%d nodes join through random members: views equal", n), seconds, "<= 1", 0, 1}
	return single(l, 20, 1, func(*berth) ([]float64, error) {
		f := emptyFleet(cluster.Config{})
		defer f.close()
		for range n {
			if err := f.add(); err != nil {
				return nil, err
			}
		}
		d, err := f.whole(time.Now(), 30*time.Second)
		if err != nil {
			return nil, err
		}
		return []float64{d.Seconds()}, nil
	})
}

// kills measures how long every survivor needs to see a killed node as failed,
// and that each gets one event.
func kills(n int, median, worst float64) row {
	l := line{fmt.Sprintf("NodeFailed everywhere after a kill, N=%d", n), seconds, fmt.Sprintf("median %.1f, p99 %.1f", median, worst), median, worst}
	return single(l, 20, 1, func(*berth) ([]float64, error) {
		f, err := newFleet(n, cluster.Config{})
		if err != nil {
			return nil, err
		}
		defer f.close()
		victim := f.ships[n/2]
		start := time.Now()
		f.kill(victim)
		failed := func(e cluster.Event) bool { return e.Kind == cluster.KindNodeFailed }
		took, err := f.everyone(start, 30*time.Second, func(_ *ship, e cluster.Event) bool {
			return failed(e) && e.Member.Name == victim.name
		}, nil)
		if got := f.count(start, failed); err == nil && got != n-1 {
			err = fmt.Errorf("%d NodeFailed at %d survivors", got, n-1)
		}
		return toSeconds(took), err
	})
}

// restarts measures how long all others need to know a node that was killed and
// started again at its address 0.1 s later, counted from the start of its Join.
func restarts(n int) row {
	l := line{fmt.Sprintf("restart at the same address known everywhere, N=%d", n), seconds, "<= 0.3", 0, 0.3}
	return single(l, 20, 1, func(*berth) ([]float64, error) {
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
		f.ships = f.ships[:n-1] // the others
		defer s.ep.Close()
		defer s.node.Close()
		took, err := f.everyone(start, 30*time.Second, func(_ *ship, e cluster.Event) bool {
			return e.Kind == cluster.KindNodeJoined && e.Member.Boot == boot
		}, nil)
		return toSeconds(took), err
	})
}

// leaves measures how long all others need to see NodeLeft, from the call of
// Leave.
func leaves(n int) row {
	l := line{fmt.Sprintf("NodeLeft everywhere, N=%d", n), seconds, "<= 0.2", 0, 0.2}
	return single(l, 20, 1, func(*berth) ([]float64, error) {
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
			return e.Kind == cluster.KindNodeLeft && e.Member.Name == s.name
		}, nil)
		<-s.node.Done()
		if got := f.count(start, func(e cluster.Event) bool { return e.Kind == cluster.KindNodeFailed }); err == nil && got > 0 {
			err = fmt.Errorf("%d NodeFailed", got)
		}
		return toSeconds(took), err
	})
}

// losses counts false failures at 5 % loss of packets, for as long as it is
// promised. It is the row that a busy machine harms most, and the longest.
func losses(n int, length time.Duration) row {
	l := line{fmt.Sprintf("false NodeFailed in %v at 5 %% loss, N=%d", length, n), "events", "0", 0, 0}
	return single(l, 20, 10, func(b *berth) ([]float64, error) {
		b.begin()
		f, err := newFleet(n, cluster.Config{})
		if err != nil {
			return nil, err
		}
		defer f.close()
		b.ready()
		f.net.Loss(0.05)
		start := time.Now()
		time.Sleep(length)
		return []float64{float64(f.count(start, func(e cluster.Event) bool { return e.Kind == cluster.KindNodeFailed }))}, nil
	})
}

// idles measures, for two lines, the goroutines of a node and its processor time
// in a cluster where nothing happens.
func idles(n int, length time.Duration) row {
	lines := []line{
		{fmt.Sprintf("idle cost of a node, N=%d: share of a core", n), "%", "<= 0.4", 0, 0.4},
		{fmt.Sprintf("idle cost of a node, N=%d: goroutines", n), "", "<= 10", 0, 10},
	}
	return row{lines, 20, 1, func(*berth) ([]outcome, error) {
		before := runtime.NumGoroutine()
		f, err := newFleet(n, cluster.Config{})
		if err != nil {
			return nil, err
		}
		defer f.close()
		time.Sleep(2 * time.Second) // the exchanges after joining
		watches := n                // the benchmark's own
		lowest := runtime.NumGoroutine()
		for range 100 { // between two dials
			time.Sleep(5 * time.Millisecond)
			lowest = min(lowest, runtime.NumGoroutine())
		}
		cpu, start := processorTime(), time.Now()
		time.Sleep(length)
		share := 100 * (processorTime() - cpu).Seconds() / time.Since(start).Seconds() / float64(n)
		return []outcome{{samples: []float64{share}}, {samples: []float64{float64(lowest-before-watches) / float64(n)}}}, nil
	}}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
