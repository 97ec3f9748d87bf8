//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/certs"
	"github.com/rpcnet-go/rpcnet/workers"
)

// childVar makes this program a single node, and a worker: its value is the
// folder with the certificates, the name of the node, the seed, and "busy" if it
// is to be busy, joined by newlines.
const childVar = "CLUSTERBENCH_NODE"

func credentials(dir string) rpcnet.Credentials {
	return rpcnet.CertFiles(filepath.Join(dir, "test_cert.pem"), filepath.Join(dir, "test_key.pem"), filepath.Join(dir, "ca.pem"))
}

// child runs a node until it is killed.
func child(args string) error {
	parts := strings.Split(args, "\n")
	busy := len(parts) == 4 && parts[3] == "busy"
	if len(parts) != 3 && !busy {
		return fmt.Errorf("%s: want three lines, and perhaps \"busy\"", childVar)
	}
	ep, err := rpcnet.Listen("127.0.0.1:0", credentials(parts[0]), &rpcnet.EndpointConfig{Logger: quiet})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	n, err := cluster.Join(ctx, ep, &cluster.Config{Name: parts[1], Seeds: []string{parts[2]}, Discovery: cluster.DiscoveryConfig{WaitForSeed: true}, Logger: quiet,
		Tags: cluster.Tags{"role": "worker"}})
	if err != nil {
		return err
	}
	if _, err := workers.NewWorker(n, &workers.WorkerConfig{Logger: quiet}); err != nil {
		return err
	}
	go ep.Serve(ctx, rpcnet.NewServer(nil))
	if busy {
		toil(ctx)
	}
	fmt.Println("joined")
	<-ctx.Done()
	n.Close()
	return ep.Close()
}

// stalls stops a node of its own process with SIGSTOP for a second and counts
// who takes it for dead.
func stalls() row {
	l := line{"false NodeFailed for a stall of 1 s (SIGSTOP), N=5", "events", "0", 0, 0}
	return single(l, 20, 4, func(b *berth) ([]float64, error) {
		b.begin()
		dir, err := os.MkdirTemp("", "clusterbench")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		if _, err := certs.Make(dir, nil); err != nil {
			return nil, err
		}
		var nodes []*cluster.Node
		defer func() {
			for _, n := range nodes {
				n.Close()
				n.Endpoint().Close()
			}
		}()
		failed := make(chan cluster.Event, 64)
		for i := range 4 {
			ep, err := rpcnet.Listen("127.0.0.1:0", credentials(dir), &rpcnet.EndpointConfig{Logger: quiet})
			if err != nil {
				return nil, err
			}
			cfg := cluster.Config{Name: fmt.Sprint("n", i), Logger: quiet}
			if i > 0 {
				cfg.Seeds = []string{nodes[0].Self().Addr}
			}
			n, err := cluster.Join(context.Background(), ep, &cfg)
			if err != nil {
				return nil, errors.Join(err, ep.Close())
			}
			nodes = append(nodes, n)
			go func() {
				for e := range n.Watch(context.Background()) {
					if e.Kind == cluster.KindNodeFailed {
						failed <- e
					}
				}
			}()
		}
		cmd, err := spawn(dir, "child", nodes[0].Self().Addr)
		if err != nil {
			return nil, err
		}
		defer reap(cmd)
		if !poll(10*time.Second, 2*time.Millisecond, func() bool {
			return !slices.ContainsFunc(nodes, func(n *cluster.Node) bool { return len(n.Members()) != 5 })
		}) {
			return nil, errors.New("the five nodes did not see each other within 10 s")
		}
		b.ready()
		time.Sleep(1200 * time.Millisecond) // the exchanges after joining
		if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			return nil, err
		}
		time.Sleep(time.Second)
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			return nil, err
		}
		time.Sleep(2 * time.Second)
		return []float64{float64(len(failed))}, nil
	})
}

// spawn starts a node process and waits until it has joined. more are further
// lines of [childVar].
func spawn(dir, name, seed string, more ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childVar+"="+strings.Join(append([]string{dir, name, seed}, more...), "\n"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		reap(cmd)
		return nil, fmt.Errorf("the node process: %w", err)
	}
	return cmd, nil
}

func reap(cmd *exec.Cmd) {
	cmd.Process.Kill()
	cmd.Wait()
}
