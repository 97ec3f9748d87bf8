package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/proc"
	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/transcript"
)

const (
	maxOfAKind = 99
	// The cycle of a worker with failures, by which workers are put out of step.
	cycle = 18 * time.Second
	// How long a child may take to be ready before the others are started all the
	// same, and to end when it is asked to before it is killed.
	patience = 10 * time.Second
)

// A child is one program of the example to be run.
type child struct {
	program string // the folder of the program
	name    string // the prefix of its lines
	env     []string
}

// directorAddr is the address of the director.
func directorAddr() string { return cmp.Or(os.Getenv("DIRECTOR_ADDR"), "127.0.0.1:61000") }

// children returns the programs to run, in the order of their start. The
// director is at DIRECTOR_ADDR, the first worker at WORKER_ADDR and each next one
// a port further.
func children(o options, certDir string) ([]child, error) {
	director := directorAddr()
	host, port, err := splitAddr(cmp.Or(os.Getenv("WORKER_ADDR"), "127.0.0.1:62001"))
	if err != nil {
		return nil, fmt.Errorf("WORKER_ADDR: %w", err)
	}
	common := []string{"CERT_DIR=" + certDir, "DIRECTOR_ADDR=" + director}
	cs := []child{{"director", "director", append(common[:2:2], "CERT_NAME=director", "STRATEGY="+o.strategy)}}
	for i := range o.workers {
		label := workerLabel(i)
		offset := cycle * time.Duration(i) / time.Duration(o.workers)
		cs = append(cs, child{"worker", label, append(common[:2:2],
			"CERT_NAME="+label,
			"WORKER_LABEL="+label,
			"WORKER_ADDR="+net.JoinHostPort(host, strconv.Itoa(port+i)),
			"WORKER_TAGS=zone="+string("ab"[i%2]),
			"WORKER_FAILURE_ENABLED="+strconv.FormatBool(o.failures),
			"WORKER_FAILURE_OFFSET="+offset.String(),
		)})
	}
	for i := range o.clients {
		name := "client"
		if o.clients > 1 {
			name += "-" + strconv.Itoa(i+1)
		}
		cs = append(cs, child{"client", name, append(common[:2:2], "CERT_NAME="+name, "TOKENS=0")})
	}
	return cs, nil
}

func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return host, int(n), err
}

// workerLabel returns worker-a to worker-z, then worker-27.
func workerLabel(i int) string {
	if i < 26 {
		return "worker-" + string(rune('a'+i))
	}
	return "worker-" + strconv.Itoa(i+1)
}

// A client is a child whose tokens are counted.
type client struct {
	name  string
	tally transcript.Tally // the reader's of its lines, ours once it has ended
}

// A fleet is the children that run. It is for one goroutine; failed receives
// the first child that ends by itself with a failure.
type fleet struct {
	bin      string
	terminal *terminal
	running  []*running
	clients  []*client
	failed   chan error
	stopping sync.Once
}

type running struct {
	child
	*proc.Process
}

// startAll starts the children of [children] in their order: the workers when the
// director is ready, and the clients when the director can choose every worker.
// It returns early, with no error, when ctx ends.
func (f *fleet) startAll(ctx context.Context, cs []child) error {
	workers := 0
	for _, c := range cs {
		if c.program == "worker" {
			workers++
		}
	}
	director := listenFor("🚀 Director ready")
	pool := listenFor(fmt.Sprintf("🙋 %d workers ready", workers))
	for i, c := range cs {
		var err error
		switch {
		case i > 0 && cs[i-1].program == "director":
			err = f.await(ctx, director, "that it is ready")
		case c.program == "client" && cs[i-1].program == "worker":
			err = f.await(ctx, pool, fmt.Sprintf("that %d workers are ready", workers))
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := f.start(c, director, pool); err != nil {
			return err
		}
	}
	return nil
}

// await waits until the director has said what, a child fails or ctx ends. If
// nothing comes for long it says so, and that is all.
func (f *fleet) await(ctx context.Context, said *listener, what string) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-said.heard:
	case err := <-f.failed:
		return err
	case <-ctx.Done():
	case <-late.C:
		f.terminal.say(fmt.Sprintf("the director has not said %s in %v, going on without", what, patience))
	}
	return nil
}

// A listener waits for a line with a text.
type listener struct {
	text  string
	heard chan struct{} // closed by the first such line
	once  sync.Once
}

func listenFor(text string) *listener { return &listener{text: text, heard: make(chan struct{})} }

func (l *listener) line(s string) {
	if strings.Contains(s, l.text) {
		l.once.Do(func() { close(l.heard) })
	}
}

// start starts a child. The listeners hear what a director says.
func (f *fleet) start(c child, listeners ...*listener) error {
	printer := f.terminal.printer(c.name)
	line := printer
	switch c.program {
	case "director":
		line = func(s string) {
			printer(s)
			for _, l := range listeners {
				l.line(s)
			}
		}
	case "client":
		counted := &client{name: c.name}
		f.clients = append(f.clients, counted)
		line = func(s string) {
			counted.tally.Line(time.Now(), s)
			printer(s)
		}
	}
	p, err := proc.Start(proc.Path(f.bin, c.program), nil, c.env, line)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	f.running = append(f.running, &running{c, p})
	go func() {
		if status := p.Status(); status != 0 {
			select {
			case f.failed <- fmt.Errorf("%s ended with exit status %d", c.name, status):
			default:
			}
		}
	}()
	return nil
}

// stop ends the children, those that depend on others first. It is idempotent.
func (f *fleet) stop() {
	f.stopping.Do(func() {
		for _, program := range []string{"client", "worker", "director"} {
			late := time.After(patience)
			for _, r := range f.running {
				if r.program == program {
					r.Stop()
				}
			}
			for _, r := range f.running {
				if r.program != program {
					continue
				}
				select {
				case <-r.Done():
				case <-late:
					f.terminal.say(fmt.Sprintf("%s does not end, killing it", r.name))
					r.Kill()
					<-r.Done()
				}
			}
		}
	})
}
