//go:build unix

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/certs"
)

// The size of the fleet. While one director or worker is broken there is another.
const (
	nDirectors = 2
	nWorkers   = 4
)

// A fleet is the child processes and their network.
type fleet struct {
	exe     string // this program, which is also the children's
	certs   string // folder of certificates, removed at the end
	logs    io.Writer
	network *network // nil: all use the loopback address and cannot be cut off
	without string   // why there is no network

	directors []*process
	workers   []*process
	once      sync.Once
}

// A process is one child through all its restarts. It keeps its name and address.
type process struct {
	fleet      *fleet
	role, name string
	addr       string
	space      string // network namespace; "": that of this process

	mu     sync.Mutex // guards cmd and exited
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has exited
}

// newFleet makes certificates and a network if it can, and starts all processes.
// The caller closes the fleet.
func newFleet(logs io.Writer) (*fleet, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		return nil, err
	}
	f := &fleet{exe: exe, certs: dir, logs: logs}
	hosts := []string{"127.0.0.1"}
	f.network, err = newNetwork()
	if err != nil {
		f.without = err.Error()
	} else {
		hosts = append(hosts, f.network.hosts()...)
	}
	if _, err := certs.Make(dir, hosts); err != nil {
		f.close()
		return nil, err
	}
	for i := range nDirectors {
		p := &process{fleet: f, role: "director", name: fmt.Sprint("director-", i+1)}
		f.directors = append(f.directors, p)
		host := "127.0.0.1"
		if f.network != nil {
			host = f.network.host()
		}
		if p.addr, err = freeAddr(host); err != nil {
			f.close()
			return nil, err
		}
	}
	for i := range nWorkers {
		p := &process{fleet: f, role: "worker", name: fmt.Sprint("worker-", i+1)}
		f.workers = append(f.workers, p)
		if f.network != nil {
			p.space, p.addr = f.network.space(i), net.JoinHostPort(f.network.inside(i), "62000")
		} else if p.addr, err = freeAddr("127.0.0.1"); err != nil {
			f.close()
			return nil, err
		}
	}
	for _, p := range f.all() {
		if err := p.start(); err != nil {
			f.close()
			return nil, err
		}
	}
	return f, nil
}

// all returns the directors and then the workers.
func (f *fleet) all() []*process { return append(append([]*process{}, f.directors...), f.workers...) }

// freeAddr returns an address of host with a port that is free at the moment.
func freeAddr(host string) (string, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// close kills all processes and removes the network and the certificates.
func (f *fleet) close() {
	f.once.Do(func() {
		for _, p := range f.all() {
			p.signal(syscall.SIGKILL)
			p.wait(5 * time.Second)
		}
		if f.network != nil {
			f.network.close()
		}
		os.RemoveAll(f.certs)
	})
}

// start starts the process with the other directors as seeds.
func (p *process) start() error {
	seeds := []string{}
	for _, d := range p.fleet.directors {
		if d != p {
			seeds = append(seeds, d.addr)
		}
	}
	args := []string{p.fleet.exe, "-role", p.role, "-name", p.name, "-addr", p.addr, "-certs", p.fleet.certs, "-seeds", strings.Join(seeds, ",")}
	if p.space != "" {
		args = append([]string{"ip", "netns", "exec", p.space}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = p.fleet.logs
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	p.mu.Lock()
	p.cmd, p.exited = cmd, exited
	p.mu.Unlock()
	return nil
}

// signal sends a signal to the process. In a namespace it reaches the child too,
// because "ip netns exec" replaces itself by the program that it runs.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	cmd := p.cmd
	p.mu.Unlock()
	if cmd != nil {
		cmd.Process.Signal(s)
	}
}

// wait waits up to d until the process has exited, and reports whether it has.
func (p *process) wait(d time.Duration) bool {
	p.mu.Lock()
	exited := p.exited
	p.mu.Unlock()
	if exited == nil {
		return true
	}
	select {
	case <-exited:
		return true
	case <-time.After(d):
		return false
	}
}

// A network is a bridge with a namespace for each worker. A worker that is cut off
// loses all packets and gets no error for them.
type network struct {
	prefix string // of the names of devices and namespaces
	subnet string // of the addresses, "10.64.0."
}

// newNetwork makes the network. Its names and addresses follow from the process id,
// so that two runs do not meet.
func newNetwork() (*network, error) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return nil, fmt.Errorf("a network namespace needs root on Linux")
	}
	pid := os.Getpid()
	n := &network{prefix: fmt.Sprintf("chs%d", pid%100000), subnet: fmt.Sprintf("10.%d.%d.", 64+pid/250%64, pid%250)}
	bridge := n.prefix + "b"
	commands := []string{
		"ip link add " + bridge + " type bridge",
		"ip addr add " + n.host() + "/24 dev " + bridge,
		"ip link set " + bridge + " up",
	}
	for i := range nWorkers {
		space, wire := n.space(i), n.wire(i)
		commands = append(commands,
			"ip netns add "+space,
			"ip link add "+wire+" type veth peer name wire netns "+space,
			"ip link set "+wire+" master "+bridge,
			"ip link set "+wire+" up",
			"ip -n "+space+" addr add "+n.inside(i)+"/24 dev wire",
			"ip -n "+space+" link set wire up",
			"ip -n "+space+" link set lo up")
	}
	commands = append(commands, "tc qdisc show dev "+n.wire(0))
	for _, c := range commands {
		if err := command(c); err != nil {
			n.close()
			return nil, err
		}
	}
	return n, nil
}

// command runs a command line without quoting. The error has its output.
func command(line string) error {
	args := strings.Fields(line)
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %v %s", line, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// The address of the bridge, and of a worker; the names of a worker's namespace and
// of its device on the bridge.
func (n *network) host() string        { return n.subnet + "1" }
func (n *network) inside(i int) string { return fmt.Sprint(n.subnet, 11+i) }
func (n *network) space(i int) string  { return fmt.Sprint(n.prefix, "s", i) }
func (n *network) wire(i int) string   { return fmt.Sprint(n.prefix, "w", i) }

// hosts returns all addresses, for the certificates.
func (n *network) hosts() (hs []string) {
	for i := range nWorkers {
		hs = append(hs, n.inside(i))
	}
	return append(hs, n.host())
}

// cut drops all packets from and to a worker, with queues of length 0.
func (n *network) cut(i int) error {
	if err := command("tc qdisc replace dev " + n.wire(i) + " root pfifo limit 0"); err != nil {
		return err
	}
	return command("tc -n " + n.space(i) + " qdisc replace dev wire root pfifo limit 0")
}

// mend ends a cut.
func (n *network) mend(i int) error {
	if err := command("tc qdisc del dev " + n.wire(i) + " root"); err != nil {
		return err
	}
	return command("tc -n " + n.space(i) + " qdisc del dev wire root")
}

// close removes the network. It ignores errors, since it also removes half of one.
func (n *network) close() {
	for i := range nWorkers {
		command("ip netns del " + n.space(i)) // and the wire with it
	}
	command("ip link del " + n.prefix + "b")
}
