// Command demo runs the cluster example in one terminal: a director, workers
// that fail every now and then, and clients that stream tokens and lose none.
//
//	go run ./examples/cluster/demo
//
// It makes development certificates if there are none, builds the programs and
// runs each as a child process. When it ends, by an interrupt or after
// -duration, it stops them gracefully and prints what each client received. The
// exit status is 1 if a token was lost or came twice, or a program failed; 2 for
// wrong usage.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/logging"
	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/proc"
	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/program"
	"github.com/rpcnet-go/rpcnet/internal/certs"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// options are what the flags say.
type options struct {
	workers, clients int
	failures         bool
	duration         time.Duration
	strategy         string
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, out *os.File, errs io.Writer) int {
	o, err := parse(args, errs)
	switch {
	case err == flag.ErrHelp:
		return 0
	case err != nil:
		return 2 // said already
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	whole, err := demo(ctx, o, out)
	if err != nil {
		fmt.Fprintln(errs, "demo:", err)
		return 1
	}
	if !whole {
		return 1
	}
	return 0
}

func parse(args []string, errs io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.IntVar(&o.workers, "workers", 2, "how many `workers` to run")
	fs.IntVar(&o.clients, "clients", 1, "how many `clients` to run")
	fs.BoolVar(&o.failures, "failures", true, "have each worker fail for 5 s out of every 18 s, out of step; -failures=false to have none")
	fs.DurationVar(&o.duration, "duration", 0, "how long to run; 0 is until an interrupt")
	fs.StringVar(&o.strategy, "strategy", balance.Names()[0], "how the director chooses: "+strings.Join(balance.Names(), ", "))
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	var err error
	switch {
	case fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q: see -h", fs.Arg(0))
	case o.workers < 0 || o.workers > maxOfAKind:
		err = fmt.Errorf("-workers %d: want 0 to %d", o.workers, maxOfAKind)
	case o.clients < 0 || o.clients > maxOfAKind:
		err = fmt.Errorf("-clients %d: want 0 to %d", o.clients, maxOfAKind)
	case o.duration < 0:
		err = fmt.Errorf("-duration %v: want 0 or more", o.duration)
	default:
		_, err = balance.Parse(o.strategy)
	}
	if err != nil {
		fmt.Fprintln(errs, "demo:", err)
	}
	return o, err
}

// demo runs the example until ctx ends, the duration is over or a program
// fails, and reports whether each client has every token once.
func demo(ctx context.Context, o options, out *os.File) (whole bool, err error) {
	terminal := newTerminal(out, logging.Colour(out))
	dir, made, err := certificates()
	if err != nil {
		return false, err
	}
	if made {
		terminal.say("made development certificates in " + dir)
	}
	all, err := children(o, dir)
	if err != nil {
		return false, err
	}
	for _, c := range all { // each has a certificate of its own, that of its role
		if _, err := certs.Add(dir, certs.Leaf{Name: c.name, Role: c.program}); err != nil {
			return false, err
		}
	}
	bin, err := os.MkdirTemp("", "rpcnet-demo-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(bin)
	terminal.say("building director, worker and client")
	if err := proc.Build(ctx, bin, []string{"director", "worker", "client"}); err != nil {
		return false, err
	}

	f := &fleet{bin: bin, terminal: terminal, failed: make(chan error, 1)}
	defer f.stop()
	if err := f.startAll(ctx, all); err != nil {
		return false, err
	}
	terminal.say("to stream tokens with curl, paste the next line into another terminal, in this folder")
	terminal.command(program.Curl(dir, directorAddr()))
	var over <-chan time.Time
	if o.duration > 0 {
		over = time.After(o.duration)
	}
	select {
	case <-ctx.Done():
	case <-over:
	case err = <-f.failed:
	}
	terminal.say("stopping clients, workers and the director")
	f.stop()
	summary(terminal, f.clients)
	if err == nil {
		select {
		case err = <-f.failed:
		default:
		}
	}
	whole = !slices.ContainsFunc(f.clients, func(c *client) bool { return !c.tally.Whole() })
	return whole, err
}

// certificates returns the folder of the certificates, as the programs look for
// it, and makes them if there are none.
func certificates() (dir string, made bool, err error) {
	if dir = os.Getenv("CERT_DIR"); dir == "" {
		dir = certs.Find("certs", filepath.Join("..", "..", "certs"))
	}
	made = !certs.Present(dir)
	_, err = certs.Make(dir, nil)
	return dir, made, err
}
