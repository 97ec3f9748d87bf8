// Command scale measures what a registry of many workers costs. The workers are in
// a process of their own, and the control streams to them are real, over TLS on the
// loopback interface. It prints, for each number of workers, the processor time,
// memory and goroutines of the registry, the time of a choice, and how long it
// takes until the registry knows of a call.
//
//	go run ./internal/cmd/scale [-workers 10,100,1000]
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
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
	flag.Parse()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	var err error
	if *farm > 0 {
		err = serve(*farm, *dir)
	} else {
		err = measure(*sizes)
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
		ep, err := rpcnet.Listen("127.0.0.1:0", credentials(dir), nil)
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

// measure prints the table for the given numbers of workers.
func measure(sizes string) error {
	dir, err := os.MkdirTemp("", "scale")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if _, err := certs.Make(dir, []string{"127.0.0.1"}); err != nil {
		return err
	}
	fmt.Printf("%8s %12s %10s %12s %10s %14s %14s\n", "workers", "% of a core", "heap MiB", "goroutines", "pick us", "change known", "slowest of 50")
	for _, text := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		if err := one(n, dir); err != nil {
			return err
		}
	}
	return nil
}

// one measures n workers and prints their row.
func one(n int, dir string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	farm := exec.Command(exe, "-farm", strconv.Itoa(n), "-certs", dir)
	farm.Stderr = os.Stderr
	in, err := farm.StdinPipe()
	if err != nil {
		return err
	}
	out, err := farm.StdoutPipe()
	if err != nil {
		return err
	}
	if err := farm.Start(); err != nil {
		return err
	}
	defer farm.Wait()
	defer in.Close()
	var members []cluster.Member
	lines := bufio.NewScanner(out)
	for range n {
		if !lines.Scan() {
			return fmt.Errorf("the workers ended: %v", lines.Err())
		}
		members = append(members, cluster.Member{Name: fmt.Sprint("worker-", len(members)), Addr: lines.Text(), Tags: cluster.Tags{"role": "worker"}})
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ep, err := rpcnet.Listen("127.0.0.1:0", credentials(dir), nil)
	if err != nil {
		return err
	}
	defer ep.Close()
	registry, err := workers.NewStaticRegistry(ep, workers.NewStaticMembers(members...), nil)
	if err != nil {
		return err
	}
	defer registry.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := registry.WaitReady(ctx, n); err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // until the handshakes' garbage is collected
	const span = 5 * time.Second
	cpu := cpuTime()
	time.Sleep(span)
	cpu = cpuTime() - cpu
	runtime.GC()
	runtime.ReadMemStats(&after)

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
	fmt.Printf("%8d %11.1f%% %10.1f %12d %10.2f %14v %14v\n", n, 100*cpu.Seconds()/span.Seconds(),
		float64(after.HeapAlloc+after.StackInuse-before.HeapAlloc-before.StackInuse)/(1<<20), runtime.NumGoroutine(),
		float64(pick)/float64(time.Microsecond), known[len(known)/2].Round(100*time.Microsecond), known[len(known)-1].Round(100*time.Microsecond))
	return nil
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
