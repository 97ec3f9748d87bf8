// Package proc builds the example's programs and runs them as child processes,
// for the demo and for the end-to-end tests.
//
// Each process has two goroutines: one starts it, waits for its end and then
// closes Done; the other hands its output on, line by line, and ends with it.
// Done is closed after the last line was handed on.
package proc

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Build compiles programs of examples/cluster, by the names of their folders,
// into dir. args are further arguments of go build.
func Build(ctx context.Context, dir string, programs []string, args ...string) error {
	args = append([]string{"build", "-o", dir + string(filepath.Separator)}, args...)
	for _, p := range programs {
		args = append(args, "github.com/rpcnet-go/rpcnet/examples/cluster/"+p)
	}
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// Path returns where [Build] puts a program.
func Path(dir, program string) string {
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	return filepath.Join(dir, program)
}

// A Process is a child process. It is safe for concurrent use.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and its output is read
}

// Start runs the program at path with args, and with the variables of env, in the
// form "NAME=value", on top of this process's own. line is called with each line of
// its output, standard output and standard error together, one at a time. The
// process is the first of a group of its own, so that an interrupt from the
// keyboard reaches only its parent; on Linux it is killed when this process
// ends, however that happens.
func Start(path string, args, env []string, line func(string)) (*Process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = w, w
	p.cmd.SysProcAttr = attributes()
	started := make(chan error)
	read := make(chan struct{})
	go p.run(started, read)
	err = <-started
	w.Close()
	if err != nil {
		r.Close()
		return nil, err
	}
	go func() {
		defer close(read)
		defer r.Close()
		lines(r, line)
	}()
	return p, nil
}

// run starts the process and waits for it. It keeps its thread, because the
// kernel kills the child when the thread that made it ends.
func (p *Process) run(started chan<- error, read <-chan struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	p.cmd.Wait() // the outcome stays in ProcessState
	<-read
	close(p.done)
}

// Done is closed when the process has ended and its last line was handed on.
func (p *Process) Done() <-chan struct{} { return p.done }

// Status returns the exit status once Done is closed: -1 if a signal ended the
// process.
func (p *Process) Status() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// Signal sends a signal. It does nothing once the process has ended.
func (p *Process) Signal(s os.Signal) { p.cmd.Process.Signal(s) }

// Stop asks the process to end.
func (p *Process) Stop() { p.Signal(stopSignal) }

// Kill ends the process without asking.
func (p *Process) Kill() { p.cmd.Process.Kill() }

// lines calls line with each line of r, however long.
func lines(r io.Reader, line func(string)) {
	b := bufio.NewReader(r)
	for {
		s, err := b.ReadString('\n')
		if n := len(s); n > 0 && s[n-1] == '\n' {
			s = s[:n-1]
		}
		if s != "" || err == nil {
			line(s)
		}
		if err != nil {
			return
		}
	}
}
