//go:build unix

// Command chaos runs two directors, four workers and fifty clients, and breaks
// something every second or two. It checks that clients notice nothing but a pause:
// the text of every stream equals the undisturbed one, no idempotent call fails,
// and at the end no worker counts a call.
//
//	go run ./internal/cmd/chaos -duration 2m -seed 1
//
// Directors and workers are processes of their own. They are killed, terminated,
// frozen and cut off in an order that follows from the seed. To cut a worker off
// takes a network namespace, which needs root on Linux. Without one the command
// leaves out this fault and says so. The exit status is 1 if something was lost,
// received twice, or late.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	role := flag.String("role", "", "internal: what a child process is")
	name := flag.String("name", "", "internal: a child's name")
	addr := flag.String("addr", "", "internal: a child's address")
	seeds := flag.String("seeds", "", "internal: a child's seeds")
	certs := flag.String("certs", "", "internal: a child's certificates")
	duration := flag.Duration("duration", 2*time.Minute, "how long to break things")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "order of the faults")
	clients := flag.Int("clients", 50, "clients that stream all the time")
	kinds := flag.String("faults", "", "only these faults, separated by commas")
	rolling := flag.Bool("rolling", false, "instead of faults: restart every worker and director one after the other, and fail if a client sees an error")
	bounds := flag.Bool("bounds", true, "fail if the gaps are longer than their bounds, which hold on a machine that does nothing else")
	verbose := flag.Bool("v", false, "print what the children log")
	flag.Parse()

	if *role != "" {
		if err := child(*role, *name, *addr, *seeds, *certs); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", *name, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var logs io.Writer = io.Discard
	if *verbose {
		logs = os.Stderr
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(logs, nil)))
	fmt.Printf("seed %d, %v, %d clients\n", *seed, *duration, *clients)
	f, err := newFleet(logs)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
	defer f.close()
	ok, err := run(ctx, f, plan{duration: *duration, rand: rand.New(rand.NewPCG(*seed, 1)), clients: *clients, only: *kinds, rolling: *rolling, bounds: *bounds})
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if !ok || err != nil {
		f.close()
		os.Exit(1)
	}
}
