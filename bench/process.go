package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
	"strings"
	"time"
)

// Who runs whom: the coordinator (run.go) starts a client for each measurement,
// and the client starts its server. All are this program, but for
// those of peers in Rust. A parent talks to its
// child over the child's standard input and output, one JSON value at a time,
// and the child ends when its standard input does.

// A job is what the coordinator asks of a client.
type job struct {
	Kind                                   string
	Size, Callers, Streams, Conns, Workers int
	// Every says that one in so many calls is timed, Slice how long to measure.
	Every int
	Slice time.Duration
}

// An answer is what a child says.
type answer struct {
	Sample sample `json:",omitzero"` // of a client
	Usage  usage  `json:",omitzero"` // of a server
	Addr   string `json:",omitempty"`
	Error  string `json:",omitempty"`
}

// A child is a process that answers questions.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	enc *json.Encoder
	dec *json.Decoder
}

// startChild starts a program with arguments; "" is this program again.
func startChild(exe string, args ...string) (*child, error) {
	if exe == "" {
		var err error
		if exe, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(exe, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{cmd, in, json.NewEncoder(in), json.NewDecoder(out)}, nil
}

// ask sends a question and waits for the answer.
func (c *child) ask(question any) (answer, error) {
	if err := c.enc.Encode(question); err != nil {
		return answer{}, err
	}
	return c.answer()
}

func (c *child) answer() (answer, error) {
	var a answer
	if err := c.dec.Decode(&a); err != nil {
		return a, fmt.Errorf("%s gave no answer: %w", strings.Join(c.cmd.Args[1:], " "), err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// stop ends the child and waits for it.
func (c *child) stop() error {
	c.in.Close()
	return c.cmd.Wait()
}

// questions answers those that come on standard input until it ends.
func questions[Q any](f func(Q) answer) error {
	dec, enc := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var q Q
		if err := dec.Decode(&q); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := enc.Encode(f(q)); err != nil {
			return err
		}
	}
}

// runServer is the server's process. It answers with its usage, settled if the
// question is true.
func runServer(l *library, dir certDir, profile string) error {
	return profiled(l, "server", profile, func() error {
		addr, err := l.serve(dir)
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(answer{Addr: addr}); err != nil {
			return err
		}
		return questions(func(settled bool) answer { return answer{Usage: usageNow(settled)} })
	})
}

// runClient is the client's process. It answers jobs.
func runClient(l *library, dir certDir, profile string) error {
	server, err := startChild("", "-role=server", "-library="+l.name, "-certs="+string(dir), "-profile="+profile)
	if err != nil {
		return err
	}
	hello, err := server.answer()
	if err != nil {
		return err
	}
	connect, err := l.connector(dir, hello.Addr)
	if err != nil {
		return err
	}
	p := &probe{connect: connect, server: func(settled bool) (usage, error) {
		a, err := server.ask(settled)
		return a.Usage, err
	}}
	err = profiled(l, "client", profile, func() error {
		return questions(func(j job) answer {
			p.every, p.slice = j.Every, j.Slice
			s, err := p.measure(cell{kind: j.Kind, size: j.Size, callers: j.Callers, streams: j.Streams, conns: j.Conns, workers: j.Workers})
			if err != nil {
				return answer{Error: err.Error()}
			}
			return answer{Sample: s}
		})
	})
	return errors.Join(err, server.stop())
}

// fileName returns a name as part of that of a file.
func fileName(name string) string {
	return strings.NewReplacer(" ", "-", "/", "-", ",", "").Replace(name)
}

// profiled runs f and, if prefix is not empty, writes profiles of its CPU time
// and its allocations to files whose names begin so.
func profiled(l *library, role, prefix string, f func() error) error {
	if prefix == "" {
		return f()
	}
	name := prefix + "-" + fileName(l.name) + "-" + role
	w, err := os.Create(name + ".cpu.pprof")
	if err != nil {
		return err
	}
	defer w.Close()
	heap, err := os.Create(name + ".allocs.pprof")
	if err != nil {
		return err
	}
	defer heap.Close()
	if err := pprof.StartCPUProfile(w); err != nil {
		return err
	}
	err = f()
	pprof.StopCPUProfile()
	return errors.Join(err, pprof.Lookup("allocs").WriteTo(heap, 0))
}
