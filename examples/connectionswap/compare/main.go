//go:build unix

// Command compare measures both versions of the example under the same faults:
// it builds them, starts a director, two workers and a client of each as real
// processes, breaks the worker that serves, and prints how long the client went
// without a token and whether it lost any. With -lines it counts the lines of
// code of both instead.
//
//	go run ./examples/connectionswap/compare [-runs 5] [-lines]
package main

import (
	"bufio"
	"flag"
	"fmt"
	"go/scanner"
	"go/token"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/certs"
)

const dir = "examples/connectionswap"

var versions = []string{"byhand", "withcluster"}

func main() {
	runs := flag.Int("runs", 5, "runs of each fault")
	lines := flag.Bool("lines", false, "count lines of code")
	flag.Parse()
	var err error
	if *lines {
		err = count()
	} else {
		err = compare(*runs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// count prints the lines that hold code: not blank, not only a comment.
func count() error {
	for _, v := range append([]string{"contract"}, versions...) {
		files, err := filepath.Glob(filepath.Join(dir, v, "*.go"))
		if err != nil {
			return err
		}
		total := 0
		for _, name := range files {
			if strings.HasSuffix(name, ".gen.go") {
				continue
			}
			n, err := codeLines(name)
			if err != nil {
				return err
			}
			fmt.Printf("%5d  %s\n", n, name)
			total += n
		}
		fmt.Printf("%5d  %s in all\n", total, v)
	}
	return nil
}

func codeLines(name string) (int, error) {
	src, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	fset := token.NewFileSet()
	file := fset.AddFile(name, -1, len(src))
	var s scanner.Scanner
	s.Init(file, src, nil, 0) // leaves comments out
	seen := map[int]bool{}
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return len(seen), nil
		}
		if tok != token.SEMICOLON || lit == ";" {
			seen[file.Line(pos)] = true
		}
	}
}

// A scenario breaks the worker that serves and may put it right again.
type scenario struct {
	name string
	do   func(p *proc)
	undo func(p *proc)
}

var scenarios = []scenario{
	{"kill", func(p *proc) { p.cmd.Process.Kill() }, nil},
	{"freeze", func(p *proc) { p.cmd.Process.Signal(syscall.SIGSTOP) }, func(p *proc) { p.cmd.Process.Signal(syscall.SIGCONT) }},
	{"graceful stop", func(p *proc) { p.cmd.Process.Signal(syscall.SIGTERM) }, nil},
	{"director kill", nil, nil},
}

func compare(runs int) error {
	tmp, err := os.MkdirTemp("", "compare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if _, err := certs.Make(tmp, []string{"127.0.0.1"}); err != nil {
		return err
	}
	for _, v := range versions {
		out, err := exec.Command("go", "build", "-o", filepath.Join(tmp, v), "./"+filepath.Join(dir, v)).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%v\n%s", err, out)
		}
	}
	fmt.Printf("%-14s %-12s %10s %10s %6s %11s %12s\n", "fault", "version", "median gap", "longest", "whole", "new client", "chosen again")
	for _, s := range scenarios {
		for _, v := range versions {
			var gaps, back, fresh []time.Duration
			whole := 0
			for range runs {
				r, err := measure(tmp, v, s, 300)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", v, s.name, err)
				}
				gaps = append(gaps, r.gap)
				fresh = append(fresh, r.fresh)
				if r.back > 0 {
					back = append(back, r.back)
				}
				if r.whole {
					whole++
				}
			}
			slices.Sort(gaps)
			slices.Sort(back)
			slices.Sort(fresh)
			again := "-"
			if len(back) > 0 {
				again = back[len(back)/2].Round(time.Millisecond).String()
			}
			ms := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
			fmt.Printf("%-14s %-12s %10v %10v %3d/%-2d %11v %12s\n", s.name, v, ms(gaps[len(gaps)/2]), ms(gaps[len(gaps)-1]),
				whole, runs, ms(fresh[len(fresh)/2]), again)
		}
	}
	return nil
}

// A result is what one run has shown.
type result struct {
	gap   time.Duration // longest time without a token after the fault
	whole bool          // tokens 1 to the last, each once, in order
	fresh time.Duration // slowest first token of four clients that start right after the fault
	back  time.Duration // from the worker's return until it was given out again
}

// A proc is one child process and its output.
type proc struct {
	cmd   *exec.Cmd
	label string
	done  chan struct{}
	lines chan string
}

// A stage is the processes of one run.
type stage struct {
	bin      string
	env      []string
	director string
	addrs    map[string]string // of workers
	mu       sync.Mutex
	procs    []*proc
}

func (s *stage) start(label, role string, env ...string) (*proc, error) {
	cmd := exec.Command(s.bin, role)
	cmd.Env = append(append(os.Environ(), s.env...), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &proc{cmd: cmd, label: label, done: make(chan struct{}), lines: make(chan string, 4096)}
	go func() {
		for sc := bufio.NewScanner(out); sc.Scan(); {
			p.lines <- sc.Text()
		}
		close(p.lines)
		cmd.Wait()
		close(p.done)
	}()
	s.mu.Lock()
	s.procs = append(s.procs, p)
	s.mu.Unlock()
	return p, nil
}

func (s *stage) close() {
	for _, p := range s.procs {
		p.cmd.Process.Signal(syscall.SIGCONT)
		p.cmd.Process.Kill()
		go func() {
			for range p.lines {
			}
		}()
		<-p.done
	}
}

func (s *stage) worker(label string) (*proc, error) {
	return s.start(label, "worker", "WORKER_LABEL="+label, "WORKER_ADDR="+s.addrs[label])
}

func measure(tmp, version string, sc scenario, tokens int) (r result, err error) {
	s := &stage{bin: filepath.Join(tmp, version), addrs: map[string]string{}}
	defer s.close()
	if s.director, err = freeAddr(); err != nil {
		return r, err
	}
	s.env = []string{"DIRECTOR_ADDR=" + s.director, "CERT_DIR=" + tmp, fmt.Sprint("TOKENS=", tokens), "TOKEN_INTERVAL=20ms"}
	d, err := s.start("director", "director")
	if err != nil {
		return r, err
	}
	workers := map[string]*proc{}
	for _, label := range []string{"worker-a", "worker-b"} {
		if s.addrs[label], err = freeAddr(); err != nil {
			return r, err
		}
		if workers[label], err = s.worker(label); err != nil {
			return r, err
		}
	}
	time.Sleep(4 * time.Second) // both have registered, whatever the version
	c, err := s.start("client", "client")
	if err != nil {
		return r, err
	}
	next := 1
	r.whole = true
	last := time.Now()
	fresh := make(chan time.Duration, 1)
	for deadline := time.After(40 * time.Second); ; {
		select {
		case line, ok := <-c.lines:
			if !ok {
				r.whole = r.whole && next == tokens+1
				r.fresh = <-fresh
				return r, s.again(&r, sc, workers)
			}
			var n int
			var text, worker string
			if _, err := fmt.Sscanf(line, "token %d %s from %s", &n, &text, &worker); err != nil {
				continue
			}
			if n != next {
				r.whole = false
			}
			next = n + 1
			if n > 50 {
				r.gap = max(r.gap, time.Since(last))
			}
			last = time.Now()
			if n == 50 {
				if sc.do == nil {
					d.cmd.Process.Kill()
				} else {
					workers = map[string]*proc{worker: workers[worker]}
					sc.do(workers[worker])
				}
				go func() {
					if sc.do == nil {
						fresh <- 0 // nobody is there to give a new client a worker
						return
					}
					fresh <- s.newClients()
				}()
			}
		case <-deadline:
			return r, fmt.Errorf("the client is at token %d after 40 s", next)
		}
	}
}

// newClients returns the longest time that one of four new clients needs for
// its first token.
func (s *stage) newClients() time.Duration {
	var wg sync.WaitGroup
	times := make([]time.Duration, 4)
	for i := range times {
		wg.Go(func() {
			start := time.Now()
			c, err := s.start("client", "client", "TOKENS=1")
			if err != nil {
				return
			}
			for line := range c.lines {
				if strings.HasPrefix(line, "token 1 ") {
					times[i] = time.Since(start)
				}
			}
		})
	}
	wg.Wait()
	return slices.Max(times)
}

// again measures how long a worker that comes back waits until a client gets
// it: new clients ask until one does.
func (s *stage) again(r *result, sc scenario, broken map[string]*proc) error {
	if sc.do == nil {
		return nil
	}
	var target *proc
	for _, p := range broken {
		target = p
	}
	if sc.undo != nil {
		sc.undo(target)
	} else {
		<-target.done
		if _, err := s.worker(target.label); err != nil {
			return err
		}
	}
	start := time.Now()
	for time.Since(start) < 20*time.Second {
		c, err := s.start("client", "client", "TOKENS=1")
		if err != nil {
			return err
		}
		for line := range c.lines {
			if strings.HasSuffix(line, "from "+target.label) {
				r.back = time.Since(start)
				return nil
			}
		}
		<-c.done
	}
	return nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
