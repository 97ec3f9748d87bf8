// Command scale measures what a registry of many workers costs. The workers are in
// processes of their own, and the control streams to them are real, over TLS on the
// loopback interface. It prints, for each number of workers, the processor time,
// memory and goroutines of the registry's process alone, the processor time of the
// workers' processes, the time of a choice, and how long it takes until the registry
// knows of a call. The heartbeat is the mean time between two of a worker, as they
// arrive: that which is asked for, if the machine is fast enough.
//
//	go run ./internal/cmd/scale [-workers 10,100,1000] [-span 5s]
//	go run ./internal/cmd/scale -workers 10000
//
// Ten thousand workers take a minute to start, which is the rate at which a registry
// dials addresses that it has only heard of, 3 GB of memory, and 10 100 files open.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/certs"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

func main() {
	sizes := flag.String("workers", "10,100,1000", "numbers of workers, separated by commas")
	farm := flag.Int("farm", 0, "internal: be so many workers")
	dir := flag.String("certs", "", "internal: certificates")
	span := flag.Duration("span", 5*time.Second, "how long processor time is measured")
	flag.Parse()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	var err error
	if *farm > 0 {
		err = serve(*farm, *dir)
	} else {
		err = measure(*sizes, *span)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

// credentials returns the certificate of a node in dir.
func credentials(dir string) rpcnet.Credentials {
	return rpcnet.CertFiles(filepath.Join(dir, "test_cert.pem"), filepath.Join(dir, "test_key.pem"), filepath.Join(dir, "ca.pem"))
}

// serve runs n workers until standard input ends, and prints their addresses. The
// procedure "hold" runs until its caller cancels it.
func serve(n int, dir string) error {
	out := bufio.NewWriter(os.Stdout)
	for range n {
		ep, err := listen(dir)
		if err != nil {
			return err
		}
		if _, err := workers.NewStaticWorker(ep, &workers.WorkerConfig{Capacity: 16}); err != nil {
			return err
		}
		srv := rpcnet.NewServer(nil)
		srv.Handle("hold", func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		go ep.Serve(context.Background(), srv)
		fmt.Fprintln(out, ep.Addr())
	}
	out.Flush()
	bufio.NewReader(os.Stdin).ReadByte()
	return nil
}

// listen returns an endpoint on a free port. A port that is free for TCP can be taken for
// UDP, by the connection of another worker, so that it tries several.
func listen(dir string) (ep *rpcnet.Endpoint, err error) {
	for range 10 {
		if ep, err = rpcnet.Listen("127.0.0.1:0", credentials(dir), nil); !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return ep, err
}

// measure prints the table for the given numbers of workers.
func measure(sizes string, span time.Duration) error {
	dir, err := os.MkdirTemp("", "scale")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if _, err := certs.Make(dir, []string{"127.0.0.1"}); err != nil {
		return err
	}
	fmt.Printf("%8s %12s %10s %12s %12s %10s %12s %10s %14s %14s\n", "workers", "% of a core", "heartbeat", "us/s each", "their us/s", "heap MiB", "goroutines", "pick us", "change known", "slowest of 50")
	for _, text := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		if err := one(n, dir, span); err != nil {
			return err
		}
	}
	return nil
}

// farmSize is how many workers one process has at most. Each takes three files: two sockets
// that listen, and its connection.
const farmSize = 2000

// A farm is a process of workers.
type farm struct {
	cmd  *exec.Cmd
	stop io.Closer
	// addrs are those of its workers.
	addrs []string
}

// startFarm starts n workers.
func startFarm(n int, dir string) (*farm, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	f := &farm{cmd: exec.Command(exe, "-farm", strconv.Itoa(n), "-certs", dir)}
	f.cmd.Stderr = os.Stderr
	if f.stop, err = f.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := f.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for range n {
		if !lines.Scan() {
			f.end()
			return nil, fmt.Errorf("the workers ended: %v", lines.Err())
		}
		f.addrs = append(f.addrs, lines.Text())
	}
	return f, nil
}

// end ends the process and waits for it.
func (f *farm) end() {
	f.stop.Close()
	f.cmd.Wait()
}

// farms are all workers of a row.
type farms []*farm

// start starts n workers, and returns them as members.
func (fs *farms) start(n int, dir string) (members []cluster.Member, err error) {
	for n > 0 {
		f, err := startFarm(min(n, farmSize), dir)
		if err != nil {
			return nil, err
		}
		*fs, n = append(*fs, f), n-len(f.addrs)
		for _, addr := range f.addrs {
			members = append(members, cluster.Member{Name: fmt.Sprint("worker-", len(members)), Addr: addr, Tags: cluster.Tags{"role": "worker"}})
		}
	}
	return members, nil
}

// end ends all of them.
func (fs farms) end() {
	for _, f := range fs {
		f.end()
	}
}

// cpuTime returns their processor time so far, 0 if the system does not tell.
func (fs farms) cpuTime() (sum time.Duration) {
	for _, f := range fs {
		sum += cpuTimeOf(f.cmd.Process.Pid)
	}
	return sum
}

// one measures n workers and prints their row.
func one(n int, dir string, span time.Duration) error {
	var fs farms
	defer func() { fs.end() }()
	members, err := fs.start(n, dir)
	if err != nil {
		return err
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	// All workers have one certificate, so that they are one peer to the registry. Sessions
	// to 8600 of them take the memory that one peer has by default.
	ep, err := rpcnet.Listen("127.0.0.1:0", credentials(dir), &rpcnet.EndpointConfig{MemoryBudget: 4 << 30, PeerMemory: 2 << 30})
	if err != nil {
		return err
	}
	defer ep.Close()
	registry, err := workers.NewStaticRegistry(ep, workers.NewStaticMembers(members...), nil)
	if err != nil {
		return err
	}
	defer registry.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := registry.WaitReady(ctx, n); err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // until the handshakes' garbage is collected
	cpu, theirs := cpuTime(), fs.cpuTime()
	time.Sleep(span)
	cpu, theirs = cpuTime()-cpu, fs.cpuTime()-theirs
	ready, beat := registry.Count(), meanHeartbeat(registry) // before the calls below
	runtime.GC()
	runtime.ReadMemStats(&after)

	// The first pick finds the workers that match; all later ones do not.
	if _, err := registry.Assign(balance.PickRequest{}); err != nil {
		return err
	}
	start := time.Now()
	const picks = 2000
	for range picks {
		if _, err := registry.Assign(balance.PickRequest{}); err != nil {
			return err
		}
	}
	pick := time.Since(start) / picks

	known, err := changes(ep, registry, members)
	if err != nil {
		return err
	}
	slices.Sort(known)
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / span.Seconds() / float64(n) }
	fmt.Printf("%8d %11.1f%% %10v %12.0f %12.0f %10.1f %12d %10.2f %14v %14v\n", n, 100*cpu.Seconds()/span.Seconds(), beat, each(cpu), each(theirs),
		float64(after.HeapAlloc+after.StackInuse-before.HeapAlloc-before.StackInuse)/(1<<20), runtime.NumGoroutine(),
		float64(pick)/float64(time.Microsecond), known[len(known)/2].Round(100*time.Microsecond), known[len(known)-1].Round(100*time.Microsecond))
	if ready < n {
		return fmt.Errorf("only %d of %d workers could be chosen at the end: the machine is too slow for the measurement", ready, n)
	}
	return nil
}

// meanHeartbeat returns the mean time between two heartbeats of a worker.
func meanHeartbeat(registry *workers.Registry) time.Duration {
	ws := registry.Workers()
	sum := time.Duration(0)
	for i := range ws {
		sum += ws[i].Heartbeats.Mean
	}
	return (sum / time.Duration(len(ws))).Round(time.Millisecond)
}

// changes calls a random worker directly, 50 times, and measures how long it takes
// each time until the registry counts the call.
func changes(ep *rpcnet.Endpoint, registry *workers.Registry, members []cluster.Member) (times []time.Duration, err error) {
	for range 50 {
		m := members[rand.IntN(len(members))]
		conn, err := ep.Dial(context.Background(), m.Addr, nil)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(context.Background())
		go rpcnet.CallRaw(ctx, conn, "hold", nil)
		start := time.Now()
		for {
			if w, ok := registry.Worker(m.Name); ok && w.Load.InFlight > 0 {
				break
			}
			if time.Since(start) > 10*time.Second {
				cancel()
				return nil, fmt.Errorf("a call on %s is not known after 10 s", m.Name)
			}
			time.Sleep(100 * time.Microsecond)
		}
		times = append(times, time.Since(start))
		cancel()
		conn.Close()
		for {
			if w, ok := registry.Worker(m.Name); ok && w.Load.InFlight == 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	return times, nil
}
