// Command soak runs calls of every shape against a server for a given time. The
// network between them delays, stalls and cuts. Calls are canceled or reach their
// deadlines, the server restarts, and connections come and go. The command checks
// every byte that arrives and how every call ends, and prints counts, memory and
// goroutines. The exit status is 1 if a call had wrong bytes or an impossible
// error, if an incomplete stream looked complete, if memory grew, or if goroutines
// are left.
//
//	go run ./internal/cmd/soak -duration 10m
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/contexts"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

func main() {
	duration := flag.Duration("duration", time.Minute, "how long to run")
	callers := flag.Int("callers", 4, "callers of each kind")
	flag.Parse()
	if err := run(*duration, *callers); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// maxGrowth is how much the live heap may grow from the first fifth of the run
// to the last.
const maxGrowth = 32 << 20

// run runs all callers and disturbances for the duration and prints the report.
func run(duration time.Duration, callers int) error {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	idle := runtime.NumGoroutine()
	s, err := newSoak()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), duration)
	defer cancel()
	begin := time.Now()
	var all sync.WaitGroup
	for range callers {
		for name, f := range s.work() {
			all.Go(func() {
				for ctx.Err() == nil {
					s.note(name, f(ctx))
				}
			})
		}
	}
	all.Go(func() { s.disturb(ctx) })
	all.Go(func() { s.restart(ctx) })
	heap := s.watch(ctx, begin, duration)
	all.Wait()
	s.close()
	return s.report(time.Since(begin), heap, idle)
}

// A soak is one run: a server, a proxy in front of it, and two connections.
type soak struct {
	creds   rpcnet.Credentials
	addr    string // of the server
	proxy   *rpctest.Proxy
	direct  *rpcnet.Conn // to the server
	through *rpcnet.Conn // to the proxy

	ep     atomic.Pointer[rpcnet.Endpoint] // the present life of the server
	served sync.WaitGroup

	mu     sync.Mutex // guards counts and wrong
	counts map[string]int
	wrong  []string // the first 20 faults
}

// newSoak starts the server and the proxy, and connects.
func newSoak() (*soak, error) {
	ca, err := rpctest.NewDevCA()
	if err != nil {
		return nil, err
	}
	s := &soak{counts: map[string]int{}}
	if s.creds, err = ca.Credentials(); err != nil {
		return nil, err
	}
	if err := s.serve("127.0.0.1:0"); err != nil {
		return nil, err
	}
	s.addr = s.ep.Load().Addr().String()
	if s.proxy, err = rpctest.StartProxy(s.addr); err != nil {
		return nil, err
	}
	ctx := context.Background()
	if s.direct, err = rpcnet.Dial(ctx, s.addr, s.creds, nil); err != nil {
		return nil, err
	}
	s.through, err = rpcnet.Dial(ctx, s.proxy.Addr(), s.creds, &rpcnet.DialConfig{KeepaliveIdle: 300 * time.Millisecond, KeepaliveTimeout: 2 * time.Second})
	return s, err
}

// serve starts a life of the server.
func (s *soak) serve(addr string) error {
	ep, err := rpcnet.Listen(addr, s.creds, &rpcnet.EndpointConfig{KeepaliveIdle: 300 * time.Millisecond, KeepaliveTimeout: 2 * time.Second, MemoryBudget: 256 << 20})
	if err != nil {
		return err
	}
	s.ep.Store(ep)
	s.served.Go(func() { ep.Serve(context.Background(), newServer()) })
	return nil
}

// disturb delays, stalls and cuts the network, at random five times a second.
func (s *soak) disturb(ctx context.Context) {
	for contexts.Sleep(ctx, 200*time.Millisecond) {
		switch rand.N(6) {
		case 0:
			s.proxy.Delay(rand.N(20 * time.Millisecond))
		case 1:
			s.proxy.Delay(0)
		case 2:
			s.proxy.Stall()
			contexts.Sleep(ctx, rand.N(300*time.Millisecond))
			s.proxy.Resume()
		case 3:
			s.proxy.CutAfter(rand.N(int64(1 << 20)))
		case 4:
			s.proxy.Cut()
		case 5:
			if rand.N(10) == 0 { // long enough for keepalive to give the connection up
				s.proxy.Stall()
				contexts.Sleep(ctx, 3*time.Second)
				s.proxy.Resume()
			}
		}
	}
	s.proxy.Resume()
	s.proxy.Delay(0)
}

// restart shuts the server down every 5 to 10 s and starts another at the same
// address.
func (s *soak) restart(ctx context.Context) {
	for contexts.Sleep(ctx, 5*time.Second+rand.N(5*time.Second)) {
		grace, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		s.ep.Load().Shutdown(grace)
		cancel()
		s.count("restarts")
		for s.serve(s.addr) != nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// watch samples the live heap and returns its least size in the first fifth of the
// run and in the last. The least size does not depend on what runs at the moment.
func (s *soak) watch(ctx context.Context, begin time.Time, duration time.Duration) (heap [2]uint64) {
	heap = [2]uint64{math.MaxUint64, math.MaxUint64}
	for contexts.Sleep(ctx, min(duration/50, 5*time.Second)) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		switch passed := time.Since(begin); {
		case passed < duration/5:
			heap[0] = min(heap[0], m.HeapAlloc)
		case passed > 4*duration/5:
			heap[1] = min(heap[1], m.HeapAlloc)
		}
	}
	return heap
}

// close ends the connections, the proxy and the server.
func (s *soak) close() {
	s.direct.Close()
	s.through.Close()
	s.proxy.Close()
	s.ep.Load().Close()
	s.served.Wait()
}

// count counts an event.
func (s *soak) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[what]++
}

// note counts how a call ended, and keeps the errors that must not occur.
func (s *soak) note(name string, err error) {
	what := "ok"
	var bad *wrong
	switch code := rpcnet.CodeOf(err); {
	case err == nil:
	case errors.As(err, &bad):
		what = "WRONG"
	case code == rpcnet.CodeUnavailable, code == rpcnet.CodeCanceled, code == rpcnet.CodeDeadlineExceeded, code == rpcnet.CodeResourceExhausted:
		what = code.String()
	default:
		what, bad = "WRONG", &wrong{err.Error()}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[fmt.Sprintf("%-12s %s", name, what)]++
	if bad != nil && len(s.wrong) < 20 {
		s.wrong = append(s.wrong, name+": "+bad.text)
	}
}

// A wrong is an error that must not occur.
type wrong struct{ text string }

func (w *wrong) Error() string { return w.text }

func wrongf(format string, args ...any) error { return &wrong{fmt.Sprintf(format, args...)} }

// report prints the counts and returns what was wrong. It waits for goroutines that
// are about to end.
func (s *soak) report(took time.Duration, heap [2]uint64, idle int) error {
	for _, k := range slices.Sorted(maps.Keys(s.counts)) {
		fmt.Printf("%-32s %9d\n", k, s.counts[k])
	}
	var errs []error
	for _, w := range s.wrong {
		errs = append(errs, errors.New(w))
	}
	left := runtime.NumGoroutine()
	for end := time.Now().Add(15 * time.Second); left > idle && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		left = runtime.NumGoroutine()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Printf("%v; live heap: at least %d MiB in the first fifth, %d MiB in the last, %d MiB at the end; %d goroutines at the start, %d at the end\n",
		took.Round(time.Second), heap[0]>>20, heap[1]>>20, m.HeapAlloc>>20, idle, left)
	if heap[1] > heap[0]+maxGrowth {
		errs = append(errs, fmt.Errorf("the heap has grown from %d to %d MiB", heap[0]>>20, heap[1]>>20))
	}
	if left > idle {
		buf := make([]byte, 1<<20)
		errs = append(errs, fmt.Errorf("%d goroutines are left:\n%s", left-idle, buf[:runtime.Stack(buf, true)]))
	}
	return errors.Join(errs...)
}
