//go:build unix

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/internal/contexts"
	"github.com/rpcnet-go/rpcnet/workers"
)

// A plan says what to do to the fleet.
type plan struct {
	duration time.Duration
	rand     *rand.Rand // the order of the faults
	clients  int
	only     string // the kinds of faults, separated by commas; "": all
	rolling  bool   // restarts instead of faults
	bounds   bool   // whether gaps over their bounds are a failure
}

// kinds are the kinds of faults. bound is the longest gap that each causes at the
// 99th percentile. 0 means that streams have no gap.
var kinds = []struct {
	name  string
	bound time.Duration
}{
	{"kill", time.Second},
	{"freeze", 2 * time.Second},
	{"drain", 100 * time.Millisecond},
	{"partition", 2 * time.Second},
	{"director kill", 0},
	{"director freeze", 0},
	{"director restart", 0},
}

// A chaos is one run: the clients and what they have seen.
type chaos struct {
	fleet *fleet
	creds rpcnet.Credentials
	stop  chan struct{} // no new streams or calls

	mu     sync.Mutex
	faults []fault
	gaps   map[string][]time.Duration // by the kind of fault that caused them

	tokens, streams, switches     atomic.Int64
	wrong, broken, calls, refused atomic.Int64
	errors                        sync.Map // text of an error to its count
}

// A fault is one that has happened to a process.
type fault struct {
	kind, target string
	at           time.Time
}

// run runs the clients, breaks things according to the plan, and prints a report. It
// reports whether everything held.
func run(ctx context.Context, f *fleet, p plan) (ok bool, err error) {
	c := &chaos{fleet: f, stop: make(chan struct{}), gaps: map[string][]time.Duration{}}
	c.creds = rpcnet.CertFiles(filepath.Join(f.certs, "test_cert.pem"), filepath.Join(f.certs, "test_key.pem"), filepath.Join(f.certs, "ca.pem"))
	if err := c.ready(ctx, nWorkers); err != nil {
		return false, err
	}
	if f.network == nil {
		fmt.Println("no partitions:", f.without)
	}
	var clients sync.WaitGroup
	for i := range p.clients {
		clients.Go(func() { c.stream(ctx, uint64(i)) })
	}
	for range 4 {
		clients.Go(func() { c.call(ctx) })
	}
	if p.rolling {
		err = c.rolling(ctx)
	} else {
		err = c.breakThings(ctx, p)
	}
	close(c.stop)
	clients.Wait()
	idle := c.idle(ctx)
	return c.report(p, idle) && err == nil, err
}

// dial returns a client of all directors.
func (c *chaos) dial(ctx context.Context, onEvent func(workers.Event)) (*director.Client, error) {
	var addrs []string
	for _, d := range c.fleet.directors {
		addrs = append(addrs, d.addr)
	}
	return director.Dial(ctx, &director.ClientConfig{Credentials: c.creds, ClientConfig: workers.ClientConfig{
		OnEvent: func(_ context.Context, e workers.Event) {
			if onEvent != nil {
				onEvent(e)
			}
		},
	}}, addrs...)
}

// stream is one client. It streams text after text and compares each with what it
// must be.
func (c *chaos) stream(ctx context.Context, id uint64) {
	var at place // OnEvent runs in this goroutine, so there is no lock
	client, err := c.dial(ctx, func(e workers.Event) {
		switch e.Kind {
		case workers.EventConnected:
			at.worker = e.Worker
		case workers.EventFailed, workers.EventMoved:
			at.lost = e.Worker
			c.switches.Add(1)
			if e.Kind == workers.EventFailed {
				c.count(e.Err)
			}
		}
	})
	if err != nil {
		c.failed(err)
		return
	}
	defer client.Close()
	for n := uint64(0); ; n++ {
		select {
		case <-c.stop:
			return
		case <-ctx.Done():
			return
		default:
		}
		if err := c.text(ctx, client, id<<32+n, &at); err != nil {
			c.failed(err)
		}
		c.streams.Add(1)
	}
}

// failed counts a stream that failed and prints why.
func (c *chaos) failed(err error) {
	c.broken.Add(1)
	fmt.Println("a stream failed:", err)
}

// count counts an error that a client recovered from.
func (c *chaos) count(err error) {
	n, _ := c.errors.LoadOrStore(err.Error(), new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

// A place says where a client streams from.
type place struct {
	worker string
	lost   string // the worker that it has left since the last token
}

// text streams one text of 4 s and checks each token. The first gap lasts from the
// start of the call to the first token.
func (c *chaos) text(ctx context.Context, client *director.Client, seed uint64, at *place) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const length = 200
	last := time.Now()
	s, err := client.NewStream(ctx, generateSpec)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Send(numbers(seed, 1, length)); err != nil {
		return err
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	for n := uint64(1); ; n++ {
		var b []byte
		err := s.Recv(&b)
		now := time.Now()
		c.gap(now.Sub(last), now, *at)
		at.lost, last = "", now
		if err == io.EOF {
			if n != length+1 {
				c.wrong.Add(1)
				return fmt.Errorf("the text ended before token %d of %d", n, length)
			}
			return nil
		}
		if err != nil {
			return err
		}
		if binary.BigEndian.Uint64(b) != n || binary.BigEndian.Uint64(b[8:]) != token(seed, n) {
			c.wrong.Add(1)
			return fmt.Errorf("token %d of the text is wrong", n)
		}
		c.tokens.Add(1)
	}
}

// gap records a pause under the fault that caused it. If the client left a worker,
// that is the last fault of this worker. Otherwise it is a fault of the worker that
// it streams from, which lasts up to 3 s, or of any director in the last 3 s.
// A short pause without a change of workers is not recorded.
func (c *chaos) gap(d time.Duration, now time.Time, at place) {
	if at.lost == "" && d < 4*pace {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range slices.Backward(c.faults) {
		ago := now.Sub(f.at)
		if f.target == at.lost ||
			at.lost == "" && (f.target == at.worker && ago < d+3*time.Second || strings.HasPrefix(f.kind, "director") && ago < 3*time.Second) {
			c.gaps[f.kind] = append(c.gaps[f.kind], d)
			return
		}
		if ago > 30*time.Second {
			break
		}
	}
	if at.lost != "" {
		c.gaps["other"] = append(c.gaps["other"], d)
	}
}

// call makes idempotent calls and counts those that fail.
func (c *chaos) call(ctx context.Context) {
	client, err := c.dial(ctx, nil)
	if err != nil {
		c.failed(err)
		return
	}
	defer client.Close()
	for i := uint64(0); ; i++ {
		select {
		case <-c.stop:
			return
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		ctx, _ = rpcnet.NewCall(ctx, rpcnet.CallOptions{Idempotent: true})
		out, err := client.CallWorker(ctx, "echo", numbers(i), "")
		cancel()
		c.calls.Add(1)
		if err != nil || binary.BigEndian.Uint64(out) != i {
			c.refused.Add(1)
			fmt.Println("a call failed:", err)
		}
	}
}

// breakThings breaks one thing after the other. It waits until the fleet has
// recovered, so at most one process is broken at a time.
func (c *chaos) breakThings(ctx context.Context, p plan) error {
	var names []string
	for _, k := range kinds {
		if p.only != "" && !slices.Contains(strings.Split(p.only, ","), k.name) || k.name == "partition" && c.fleet.network == nil {
			continue
		}
		names = append(names, k.name)
	}
	if len(names) == 0 {
		return fmt.Errorf("no fault is possible")
	}
	start := time.Now()
	order := p.rand.Perm(len(names))
	for i := 0; time.Since(start) < p.duration && ctx.Err() == nil; i++ {
		if i > 0 && i%len(order) == 0 {
			order = p.rand.Perm(len(names))
		}
		contexts.Sleep(ctx, time.Duration(300+p.rand.IntN(1000))*time.Millisecond)
		if err := c.do(ctx, names[order[i%len(order)]], p.rand); err != nil {
			return err
		}
		if err := c.ready(ctx, nWorkers); err != nil {
			return err
		}
	}
	return nil
}

// do makes one fault happen and repairs it.
func (c *chaos) do(ctx context.Context, kind string, r *rand.Rand) error {
	i := r.IntN(nWorkers)
	target := c.fleet.workers[i]
	if strings.HasPrefix(kind, "director") {
		target = c.fleet.directors[r.IntN(nDirectors)]
	}
	c.mu.Lock()
	c.faults = append(c.faults, fault{kind, target.name, time.Now()})
	c.mu.Unlock()
	fmt.Printf("%8s  %s %s\n", time.Now().Format("05.000"), kind, target.name)
	restart := func() error {
		if !target.wait(10 * time.Second) {
			return fmt.Errorf("%s does not exit", target.name)
		}
		return target.start()
	}
	switch kind {
	case "kill", "director kill":
		target.signal(syscall.SIGKILL)
		contexts.Sleep(ctx, time.Second)
		return restart()
	case "drain", "director restart":
		target.signal(syscall.SIGTERM)
		return restart()
	case "freeze", "director freeze":
		target.signal(syscall.SIGSTOP)
		contexts.Sleep(ctx, 3*time.Second)
		target.signal(syscall.SIGCONT)
	case "partition":
		if err := c.fleet.network.cut(i); err != nil {
			return err
		}
		contexts.Sleep(ctx, 3*time.Second)
		return c.fleet.network.mend(i)
	}
	return nil
}

// rolling restarts every process with SIGTERM, one after the other.
func (c *chaos) rolling(ctx context.Context) error {
	for _, p := range c.fleet.all() {
		kind := "drain"
		if p.role == "director" {
			kind = "director restart"
		}
		c.mu.Lock()
		c.faults = append(c.faults, fault{kind, p.name, time.Now()})
		c.mu.Unlock()
		fmt.Printf("%8s  restart %s\n", time.Now().Format("05.000"), p.name)
		p.signal(syscall.SIGTERM)
		if !p.wait(10 * time.Second) {
			return fmt.Errorf("%s does not exit", p.name)
		}
		if err := p.start(); err != nil {
			return err
		}
		if err := c.ready(ctx, nWorkers); err != nil {
			return err
		}
		contexts.Sleep(ctx, time.Second)
	}
	return nil
}

// ready waits until every director can choose among n workers.
func (c *chaos) ready(ctx context.Context, n int) error {
	deadline := time.Now().Add(30 * time.Second)
	for _, d := range c.fleet.directors {
		for {
			s, err := c.status(ctx, d)
			if err == nil && s.Ready == n {
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s sees %d of %d workers after 30 s: %v", d.name, s.Ready, n, err)
			}
			contexts.Sleep(ctx, 50*time.Millisecond)
		}
	}
	return nil
}

// status asks a director for the number of its workers and calls.
func (c *chaos) status(ctx context.Context, d *process) (s status, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := rpcnet.Dial(ctx, d.addr, c.creds, nil)
	if err != nil {
		return s, err
	}
	defer conn.Close()
	out, err := rpcnet.CallRaw(ctx, conn, "status", nil)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(out, &s)
}

// idle waits until no director counts a call. That takes at most as long as a
// ticket is valid that is never used.
func (c *chaos) idle(ctx context.Context) (err error) {
	for deadline := time.Now().Add(15 * time.Second); ; {
		err = nil
		for _, d := range c.fleet.directors {
			s, serr := c.status(ctx, d)
			if serr != nil || s.InFlight != 0 || s.Estimate != 0 {
				err = errors.Join(err, fmt.Errorf("%s counts %d calls and estimates %.1f: %v", d.name, s.InFlight, s.Estimate, serr))
			}
		}
		if err == nil || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		contexts.Sleep(ctx, 100*time.Millisecond)
	}
}

func (c *chaos) report(p plan, idle error) bool {
	ok := true
	check := func(good bool, format string, args ...any) {
		mark := "ok  "
		if !good {
			mark, ok = "FAIL", false
		}
		fmt.Printf("%s  %s\n", mark, fmt.Sprintf(format, args...))
	}
	fmt.Printf("\n%d tokens in %d texts, %d times another worker went on, %d unary calls\n\n",
		c.tokens.Load(), c.streams.Load(), c.switches.Load(), c.calls.Load())
	fmt.Printf("%-18s %6s %7s %8s %8s %8s\n", "fault", "faults", "streams", "median", "p99", "longest")
	c.mu.Lock()
	defer c.mu.Unlock()
	late := []string{}
	for _, k := range append(kinds, struct {
		name  string
		bound time.Duration
	}{"other", 0}) {
		n := 0
		for _, f := range c.faults {
			if f.kind == k.name {
				n++
			}
		}
		gaps := c.gaps[k.name]
		if n == 0 && len(gaps) == 0 {
			continue
		}
		slices.Sort(gaps)
		at := func(q float64) time.Duration {
			if len(gaps) == 0 {
				return 0
			}
			return gaps[min(int(q*float64(len(gaps))), len(gaps)-1)].Round(time.Millisecond)
		}
		fmt.Printf("%-18s %6d %7d %8v %8v %8v\n", k.name, n, len(gaps), at(.5), at(.99), at(1))
		if k.bound > 0 && at(.99) > k.bound {
			late = append(late, fmt.Sprintf("%s: p99 %v is over %v", k.name, at(.99), k.bound))
		}
	}
	fmt.Println()
	check(c.wrong.Load() == 0 && c.broken.Load() == 0, "%d streams failed, %d texts differ from the undisturbed ones", c.broken.Load(), c.wrong.Load())
	check(c.refused.Load() == 0, "%d of %d idempotent unary calls failed", c.refused.Load(), c.calls.Load())
	check(idle == nil, "counts at the end: %v", map[bool]any{true: "all 0", false: idle}[idle == nil])
	check(len(late) == 0 || !p.bounds, "gaps over their bounds: %d %s", len(late), strings.Join(late, "; "))
	if p.rolling {
		seen := []string{}
		c.errors.Range(func(k, v any) bool {
			seen = append(seen, fmt.Sprintf("%s (%d)", k, v.(*atomic.Int64).Load()))
			return true
		})
		check(len(seen) == 0, "errors that clients had to recover from: %d %s", len(seen), strings.Join(seen, "; "))
	}
	return ok
}
