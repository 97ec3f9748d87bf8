package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// callTimeout is the deadline of each call: every call has one.
	callTimeout = time.Minute
	// pace is the interval of paced messages.
	pace = time.Millisecond
	// latencyEvery is how many calls one is timed of, when many callers make
	// small calls: two readings of the clock are a part of what those cost.
	latencyEvery = 4
	// heavy is from how many bytes in flight on a measurement takes heavySlices
	// times as long, so that each caller makes several calls; large is from what
	// size of a message on, because a few dozen calls are mostly noise; crowd is
	// from how many streams on, because to open them takes time.
	heavy, large, crowd, heavySlices = 16 << 20, 1 << 20, 1000, 3
	// idleSessions and idleStreams are how many are opened to see what one
	// takes. A server of net/http allows 250 streams.
	idleSessions, idleStreams = 100, 200
	// settleTime is how long connections that were opened have to come to rest.
	settleTime = 100 * time.Millisecond
)

// A probe measures one library from the client's process.
type probe struct {
	connect connector
	server  func(settled bool) (usage, error)
	every   int           // one in so many calls is timed
	slice   time.Duration // how long to measure
}

// measure makes one measurement on a connection of its own.
func (p *probe) measure(c cell) (sample, error) {
	switch c.kind {
	case handshake:
		return p.handshake(c)
	case idleSession:
		return p.idleSession(c)
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	conns := make([]conn, max(1, c.conns))
	for i := range conns {
		var err error
		if conns[i], err = p.connect(ctx); err != nil {
			return sample{}, err
		}
		defer conns[i].close()
	}
	conn := conns[0]
	switch c.kind {
	case unary:
		return p.unary(conns, c)
	case talk:
		turn, err := conn.talk(ctx, payload(c.size, 0))
		if err != nil {
			return sample{}, err
		}
		return p.loop([]func() error{turn})
	case feed, paced:
		return p.feed(ctx, conn, c)
	case idleStream:
		return p.idleStream(ctx, conn, c)
	}
	return sample{}, fmt.Errorf("no such measurement: %q", c.kind)
}

// unary makes calls in a closed loop of callers, spread evenly over conns.
func (p *probe) unary(conns []conn, c cell) (sample, error) {
	work := make([]func() error, c.callers)
	for i := range work {
		// A context for each caller: one for all would be a lock for all.
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		work[i] = conns[i%len(conns)].caller(ctx, payload(c.size, i))
	}
	return p.loop(work)
}

// timedEvery returns how many calls of a cell one is timed of.
func timedEvery(c cell) int {
	if c.callers > 1 && c.size < 64<<10 {
		return latencyEvery
	}
	return 1
}

// sliceOf returns how long to measure a cell, if most take slice.
func sliceOf(c cell, slice time.Duration) time.Duration {
	if c.callers*c.size >= heavy || c.size >= large || c.streams >= crowd {
		return heavySlices * slice
	}
	return slice
}

// payload returns the message of caller i.
func payload(size, i int) []byte {
	b := make([]byte, size)
	for j := range b {
		b[j] = byte(i + j)
	}
	return b
}

// accounted runs f and fills in what the operations it counts have cost.
// Nothing is in flight when f begins and when it returns, so that all of their
// cost and nothing else is counted.
func (p *probe) accounted(f func() (ops int, err error)) (sample, error) {
	server, err := p.server(false)
	if err != nil {
		return sample{}, err
	}
	before := usageNow(false).add(server)
	start := time.Now()
	ops, err := f()
	elapsed := time.Since(start)
	if err == nil && ops == 0 {
		err = errors.New("nothing was done in the time there was")
	}
	if err != nil {
		return sample{}, err
	}
	after := usageNow(false)
	if server, err = p.server(false); err != nil {
		return sample{}, err
	}
	after = after.add(server)
	return sample{
		Rate:   float64(ops) / elapsed.Seconds(),
		CPU:    micros(after.CPU-before.CPU) / float64(ops),
		Allocs: float64(after.Mallocs-before.Mallocs) / float64(ops),
	}, nil
}

// setLatencies fills in the quantiles of times, which it sorts.
func (s *sample) setLatencies(times []time.Duration) {
	if len(times) == 0 {
		return
	}
	slices.Sort(times)
	s.P50, s.P99 = micros(quantile(times, 0.50)), micros(quantile(times, 0.99))
}

// loop runs each function in a goroutine of its own again and again, for about
// the time of p.slice, and takes the time of one run in p.every.
func (p *probe) loop(work []func() error) (sample, error) {
	times := make([][]time.Duration, len(work))
	round := func(d time.Duration) (ops int, err error) {
		var stop atomic.Bool
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i, f := range work {
			t := times[i][:0]
			wg.Go(func() {
				n := 0
				var failed error
				for failed == nil && !stop.Load() {
					if (n+i)%p.every == 0 {
						begun := time.Now()
						failed = f()
						t = append(t, time.Since(begun))
					} else {
						failed = f()
					}
					n++
				}
				mu.Lock()
				defer mu.Unlock()
				times[i] = t
				ops += n
				if err == nil {
					err = failed
				}
			})
		}
		time.Sleep(d)
		stop.Store(true)
		wg.Wait()
		return ops, err
	}
	if _, err := round(p.slice / 4); err != nil { // warm up
		return sample{}, err
	}
	s, err := p.accounted(func() (int, error) { return round(p.slice) })
	s.setLatencies(slices.Concat(times...))
	return s, err
}

// feed receives streams of messages, all at a time.
func (p *probe) feed(ctx context.Context, conn conn, c cell) (sample, error) {
	req := feedRequest{size: c.size}
	if c.kind == paced {
		req.interval = pace
	}
	times := make([][]time.Duration, c.streams)
	round := func(d time.Duration) (ops int, err error) {
		req := req
		req.duration = d
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range c.streams {
			t := times[i][:0]
			wg.Go(func() {
				n, short := 0, 0
				failed := conn.feed(ctx, req, func(data []byte) {
					n++
					if len(data) != c.size {
						short++
					} else if req.interval > 0 {
						t = append(t, age(data))
					}
				})
				mu.Lock()
				defer mu.Unlock()
				times[i] = t
				ops += n
				if failed == nil && short > 0 {
					failed = fmt.Errorf("%d messages of a wrong size", short)
				}
				if err == nil {
					err = failed
				}
			})
		}
		wg.Wait()
		return ops, err
	}
	if _, err := round(p.slice / 4); err != nil { // warm up
		return sample{}, err
	}
	s, err := p.accounted(func() (int, error) { return round(p.slice) })
	s.setLatencies(slices.Concat(times...))
	return s, err
}

// handshake connects, makes one call and closes, again and again.
func (p *probe) handshake(c cell) (sample, error) {
	return p.loop([]func() error{func() error {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		conn, err := p.connect(ctx)
		if err != nil {
			return err
		}
		defer conn.close()
		return conn.caller(ctx, payload(c.size, 0))()
	}})
}

// idleSession opens connections and makes one call on each.
func (p *probe) idleSession(c cell) (sample, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	return p.memory(idleSessions, func() (end func(), err error) {
		conn, err := p.connect(ctx)
		if err != nil {
			return nil, err
		}
		return conn.close, conn.caller(ctx, payload(c.size, 0))()
	})
}

// idleStream opens streams on one connection and makes one turn on each.
func (p *probe) idleStream(ctx context.Context, conn conn, c cell) (sample, error) {
	return p.memory(idleStreams, func() (end func(), err error) {
		ctx, cancel := context.WithCancel(ctx)
		turn, err := conn.talk(ctx, payload(c.size, 0))
		if err != nil {
			return cancel, err
		}
		return cancel, turn()
	})
}

// memory opens one thing, then n more, and returns what each of these takes.
// What the first one brings into being once is not counted. It must be the only
// measurement of both processes.
func (p *probe) memory(n int, open func() (end func(), err error)) (sample, error) {
	var ends []func()
	defer func() {
		for _, end := range ends {
			end()
		}
	}()
	add := func() error {
		end, err := open()
		if end != nil {
			ends = append(ends, end)
		}
		return err
	}
	settled := func() (client, server usage, err error) {
		time.Sleep(settleTime)
		server, err = p.server(true)
		return usageNow(true), server, err
	}
	if err := add(); err != nil {
		return sample{}, err
	}
	client0, server0, err := settled()
	if err != nil {
		return sample{}, err
	}
	for range n {
		if err := add(); err != nil {
			return sample{}, err
		}
	}
	client, server, err := settled()
	each := func(after, before usage) float64 {
		return (float64(after.Memory) - float64(before.Memory)) / float64(n) / 1024
	}
	return sample{Client: each(client, client0), Server: each(server, server0)}, err
}
