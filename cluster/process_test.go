package cluster_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/certs"
	"github.com/rpcnet-go/rpcnet/workers"
)

// childVar makes the test binary a single node, which prints its events as JSON.
// Its value is a childConfig as JSON.
const childVar = "CLUSTER_TEST_NODE"

type childConfig struct {
	Dir, Name, Listen string
	Seeds             []string
	LogFile           string // none: nothing is logged
	Baseline          time.Duration
	Worker            bool
	Workers           int // 0, or how many workers it watches, as a director does
}

// runChild is the node process. SIGTERM makes it leave.
func runChild(arg string) error {
	var c childConfig
	if err := json.Unmarshal([]byte(arg), &c); err != nil {
		return err
	}
	ep, err := rpcnet.Listen(c.Listen, fileCredentials(c.Dir), &rpcnet.EndpointConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer ep.Close()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg := cluster.Config{Name: c.Name, Seeds: c.Seeds, Partition: cluster.PartitionConfig{Baseline: c.Baseline}, Logger: slog.New(slog.DiscardHandler)}
	if c.LogFile != "" {
		f, err := os.Create(c.LogFile)
		if err != nil {
			return err
		}
		defer f.Close()
		cfg.Logger = slog.New(slog.NewTextHandler(f, nil))
	}
	if c.Worker {
		cfg.Tags = cluster.Tags{"role": "worker"}
	}
	n, err := cluster.Join(ctx, ep, &cfg)
	if err != nil {
		return err
	}
	if c.Worker {
		if _, err := workers.NewWorker(n, &workers.WorkerConfig{Logger: cfg.Logger}); err != nil {
			return err
		}
		go ep.Serve(context.Background(), rpcnet.NewServer(nil))
	}
	if c.Workers > 0 {
		r, err := workers.NewRegistry(n, &workers.RegistryConfig{Logger: cfg.Logger})
		if err != nil {
			return err
		}
		defer r.Close()
		if err := r.WaitReady(ctx, c.Workers); err != nil {
			return err
		}
	}
	done := make(chan error)
	go func() {
		out := json.NewEncoder(os.Stdout)
		for e := range n.Watch(context.Background()) {
			if err := out.Encode(e); err != nil {
				break
			}
		}
		done <- nil
	}()
	<-ctx.Done()
	err = n.Leave(context.Background())
	<-done
	return err
}

func fileCredentials(dir string) rpcnet.Credentials {
	return rpcnet.CertFiles(filepath.Join(dir, "test_cert.pem"), filepath.Join(dir, "test_key.pem"), filepath.Join(dir, "ca.pem"))
}

// A process is a node of its own process, with what it has printed.
type process struct {
	cmd     *exec.Cmd
	name    string
	logFile string
	mu      sync.Mutex
	all     []cluster.Event
}

// launch starts a node process, by way of the given command line if any.
func launch(t testing.TB, c childConfig, through ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	arg, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	line := append(slices.Clone(through), exe)
	p := &process{cmd: exec.Command(line[0], line[1:]...), name: c.Name, logFile: c.LogFile}
	p.cmd.Env = append(os.Environ(), childVar+"="+string(arg))
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(out); s.Scan(); {
			var e cluster.Event
			if json.Unmarshal(s.Bytes(), &e) == nil {
				p.mu.Lock()
				p.all = append(p.all, e)
				p.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-read
		p.cmd.Wait()
	})
	return p
}

func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Events returns the events of a kind about a member ("" any), the initial ones
// too.
func (p *process) Events(kind cluster.Kind, name string) (es []cluster.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.all {
		if e.Kind == kind && (name == "" || e.Member.Name == name) {
			es = append(es, e)
		}
	}
	return es
}

func (p *process) Wait(t testing.TB, kind cluster.Kind, name string) cluster.Event {
	t.Helper()
	var es []cluster.Event
	eventuallyWithin(t, 40*time.Second, func() error {
		if es = p.Events(kind, name); len(es) == 0 {
			p.mu.Lock()
			defer p.mu.Unlock()
			return fmt.Errorf("process %s has no %v of %q:\n%s", p.name, kind, name, lines(p.all))
		}
		return nil
	})
	return es[0]
}

// certDir makes certificates in files; hosts come in addition to loopback.
func certDir(t testing.TB, hosts ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	if _, err := certs.Make(dir, hosts); err != nil {
		t.Fatal(err)
	}
	return dir
}

// local makes a node in this process with certificates from files.
func local(t testing.TB, dir, name string, seeds ...*history) *history {
	t.Helper()
	ep, err := rpcnet.Listen("127.0.0.1:0", fileCredentials(dir), &rpcnet.EndpointConfig{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ep.Close() })
	return join(t, ep, cluster.Config{Name: name, Seeds: addrs(seeds...)})
}

// long skips a test that takes long or needs a quiet machine.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("CLUSTER_TEST") != "long" {
		t.Skip("takes long and wants a quiet machine: set CLUSTER_TEST=long, as make cluster-test does")
	}
}

func TestAProcessKilledIsFailedAndItsSuccessorJoins(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	a := local(t, dir, "a")
	b := local(t, dir, "b", a)
	cfg := childConfig{Dir: dir, Name: "worker", Listen: "127.0.0.1:0", Seeds: addrs(a)}
	p := launch(t, cfg)
	a.Sees(t, 3)
	b.Sees(t, 3)
	m, _ := a.Node.Lookup("worker")
	p.signal(t, syscall.SIGKILL)
	for _, h := range []*history{a, b} {
		h.Wait(t, cluster.KindNodeFailed, "worker")
	}
	cfg.Listen = m.Addr
	p = launch(t, cfg)
	for _, h := range []*history{a, b} {
		eventually(t, func() error {
			if now, _ := h.Node.Lookup("worker"); now.Boot <= m.Boot || now.State != cluster.StateAlive || now.Addr != m.Addr {
				return fmt.Errorf("%s sees %+v", h.Node.Self().Name, now)
			}
			return nil
		})
	}
	p.signal(t, syscall.SIGTERM) // leaves and exits at once
	for _, h := range []*history{a, b} {
		h.Wait(t, cluster.KindNodeLeft, "worker")
	}
}

// serveWorker makes a node a worker.
func serveWorker(t testing.TB, h *history) {
	t.Helper()
	if _, err := workers.NewWorker(h.Node, &workers.WorkerConfig{Logger: quiet()}); err != nil {
		t.Fatal(err)
	}
	if err := h.Node.UpdateTags(cluster.Tags{"role": "worker"}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		h.Node.Endpoint().Serve(ctx, rpcnet.NewServer(nil))
	}()
	t.Cleanup(func() { stop(); <-served })
}

func TestARollingAndAMassRestartLeaveNoZombies(t *testing.T) {
	long(t)
	f := newField(t, 20, cluster.Config{Detection: cluster.DetectionConfig{ProbeInterval: 200 * time.Millisecond, ProbeTimeout: 100 * time.Millisecond, SuspicionMult: 4}})
	restart := func(i int) {
		old := f.nodes[i].Node
		old.Close()
		cfg := f.cfg
		cfg.Name = old.Self().Name
		cfg.Seeds = addrs(f.nodes[(i+1)%20], f.nodes[(i+7)%20])
		f.nodes[i] = joinContext(t, f.net.Context(t.Context()), old.Endpoint(), cfg)
	}
	live := func() {
		t.Helper()
		boots := map[string]bool{}
		for _, h := range f.nodes {
			boots[h.Node.Self().Boot] = true
		}
		f.whole()
		for _, h := range f.nodes {
			for _, m := range h.Node.Members() {
				if !boots[m.Boot] {
					t.Errorf("%s sees the zombie %v %s", h.Node.Self().Name, m, m.Boot)
				}
			}
		}
	}
	for i := range f.nodes {
		restart(i)
		time.Sleep(time.Second)
	}
	live()
	var wg sync.WaitGroup
	for i := range f.nodes { // all within a second
		wg.Go(func() { restart(i) })
		time.Sleep(40 * time.Millisecond)
	}
	wg.Wait()
	live()
	time.Sleep(35 * time.Second) // longer than gossip remembers the dead
	live()
}

func TestLossForAMinuteFailsNobody(t *testing.T) {
	long(t)
	for _, loss := range []float64{0.05, 0.15, 0.30} {
		f := newField(t, 20, cluster.Config{Detection: cluster.DetectionConfig{ProbeInterval: 200 * time.Millisecond, ProbeTimeout: 100 * time.Millisecond, SuspicionMult: 4}})
		f.net.Loss(loss)
		time.Sleep(time.Minute)
		f.none(cluster.KindNodeFailed)
		for _, h := range f.nodes {
			h.Node.Close()
		}
	}
}

// A partition of the kernel's own network: two namespaces joined by a wire that
// is pulled.
func TestAPulledWireIsAPartition(t *testing.T) {
	long(t)
	w := newWire(t)
	one, two, ip := w.one, w.two, w.ip
	ip("-n " + one + " addr add 10.199.7.1/24 dev " + one)
	ip("-n " + two + " addr add 10.199.7.2/24 dev " + two)
	dir := certDir(t, "10.199.7.1", "10.199.7.2")
	node := func(ns, name, listen string) *process {
		return launch(t, childConfig{Dir: dir, Name: name, Listen: listen, Seeds: []string{"10.199.7.1:7001"}, Baseline: 2 * time.Second},
			"ip", "netns", "exec", ns)
	}
	ps := []*process{node(one, "a", "10.199.7.1:7001"), node(one, "b", "10.199.7.1:7002"), node(one, "c", "10.199.7.1:7003"),
		node(two, "d", "10.199.7.2:7001"), node(two, "e", "10.199.7.2:7002")}
	for _, p := range ps {
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			p.Wait(t, cluster.KindNodeJoined, name)
		}
	}
	time.Sleep(3 * time.Second) // until all are stable
	ip("-n " + one + " link set " + one + " down")
	for i, p := range ps {
		want := "majority"
		if i >= 3 {
			want = "minority"
		}
		if e := p.Wait(t, cluster.KindPartitionDetected, ""); e.Partition.Side != want {
			t.Errorf("%s is told %v", p.name, e)
		}
	}
	ip("-n " + one + " link set " + one + " up")
	for _, p := range ps {
		if e := p.Wait(t, cluster.KindPartitionHealed, ""); len(e.Partition.Missing) > 0 {
			t.Errorf("%s: %v", p.name, e)
		}
	}
	ps[0].Wait(t, cluster.KindNodeRecovered, "e")
	ps[4].Wait(t, cluster.KindNodeRecovered, "a")
}
