//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/workers"
)

// spinVar makes this program a loop that does nothing but keep one processor busy.
const spinVar = "CLUSTERBENCH_SPIN"

// spin never returns.
func spin() {
	for n := uint(0); ; n++ {
	}
}

// spinners starts n processes that keep the processors busy, and returns what ends them.
func spinners(n int) (end func(), err error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var cmds []*exec.Cmd
	end = func() {
		for _, c := range cmds {
			reap(c)
		}
	}
	for range n {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), spinVar+"=1", "GOMAXPROCS=1")
		if err := cmd.Start(); err != nil {
			end()
			return nil, err
		}
		cmds = append(cmds, cmd)
	}
	return end, nil
}

// startups measures how long a registry and n workers of one process need, from the
// first Join, until all of the workers can be chosen, beside so many processes
// that take all the time they get. The workers join all at once.
func startups(n, busy int, limit float64) row {
	what := fmt.Sprintf("%d workers in one process beside %d busy ones", n, busy)
	lines := []line{
		{what + ": all ready", seconds, fmt.Sprintf("<= %.0f", limit), 0, limit},
		{what + ": processor time until then", seconds, "", 0, -1},
	}
	return row{lines, 5, 1, func(*berth) ([]outcome, error) {
		end, err := spinners(busy)
		if err != nil {
			return nil, err
		}
		defer end()
		f := emptyFleet(cluster.Config{})
		if err := f.add(); err != nil {
			return nil, err
		}
		defer f.close()
		r, err := workers.NewRegistry(f.ships[0].node, &workers.RegistryConfig{Logger: quiet})
		if err != nil {
			return nil, err
		}
		defer r.Close()
		start, cpu := time.Now(), processorTime()
		stop, err := f.startWorkers(n)
		defer stop()
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithDeadline(context.Background(), start.Add(60*time.Second))
		defer cancel()
		if err := r.WaitReady(ctx, n); err != nil {
			return nil, errors.Join(err, stateOf(r))
		}
		return []outcome{{samples: []float64{time.Since(start).Seconds()}}, {samples: []float64{(processorTime() - cpu).Seconds()}}}, nil
	}}
}

// startWorkers makes n workers at once, whose seed is the first ship. stop ends them.
func (f *fleet) startWorkers(n int) (stop func(), err error) {
	var mu sync.Mutex
	var closers []func()
	var errs []error
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	stop = func() {
		cancel()
		for _, c := range closers {
			c()
		}
	}
	authority, err := ca()
	if err != nil {
		return stop, err
	}
	for i := range n {
		all.Go(func() {
			c, err := f.startWorker(ctx, authority.Credentials, fmt.Sprintf("w%03d", i))
			mu.Lock()
			defer mu.Unlock()
			closers, errs = append(closers, c), append(errs, err)
		})
	}
	all.Wait()
	return stop, errors.Join(errs...)
}

// startWorker makes one worker. stop ends it.
func (f *fleet) startWorker(ctx context.Context, credentials func(...string) (rpcnet.Credentials, error), name string) (stop func(), err error) {
	stop = func() {}
	creds, err := credentials()
	if err != nil {
		return stop, err
	}
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: quiet})
	if err != nil {
		return stop, err
	}
	stop = func() { ep.Close() }
	cfg := f.cfg
	cfg.Name, cfg.Logger, cfg.Tags = name, quiet, cluster.Tags{"role": "worker"}
	cfg.Seeds = []string{f.ships[0].node.Self().Addr}
	node, err := cluster.Join(ctx, ep, &cfg)
	if err != nil {
		return stop, err
	}
	stop = func() { node.Close(); ep.Close() }
	if _, err := workers.NewWorker(node, &workers.WorkerConfig{Logger: quiet}); err != nil {
		return stop, err
	}
	go ep.Serve(ctx, rpcnet.NewServer(nil))
	return stop, nil
}

var digits = regexp.MustCompile(`[0-9]+`)

// stateOf says how the workers of a registry stand, as an error.
func stateOf(r *workers.Registry) error {
	counts := map[string]int{}
	for _, w := range r.Workers() {
		s := w.Status
		if w.Reason != "" {
			s += ": " + digits.ReplaceAllString(w.Reason, "N")
		}
		counts[s]++
	}
	var parts []string
	for s, n := range counts {
		parts = append(parts, fmt.Sprintf("%d %s", n, s))
	}
	slices.Sort(parts)
	return errors.New(strings.Join(parts, "; "))
}
