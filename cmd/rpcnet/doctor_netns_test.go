package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/certs"
)

// runNode is a process with a node: the folder of its certificates and its address are
// its arguments. It says when it is ready, and ends with its standard input.
func runNode() {
	dir, addr := os.Args[1], os.Args[2]
	quiet := slog.New(slog.DiscardHandler)
	creds := rpcnet.CertFiles(filepath.Join(dir, certs.Cert), filepath.Join(dir, certs.Key), filepath.Join(dir, certs.CA))
	ep, err := rpcnet.Listen(addr, creds, &rpcnet.EndpointConfig{Logger: quiet})
	if err == nil {
		_, err = cluster.Join(context.Background(), ep, &cluster.Config{Name: "far", Logger: quiet})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	go ep.Serve(context.Background(), rpcnet.NewServer(nil))
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadByte()
}

// A farNode is a node in a network namespace of its own, at the other end of a wire.
type farNode struct {
	t     *testing.T
	space string
	addr  string
	dir   string // certificates
}

// startFarNode makes one, or skips the test where that is not possible.
func startFarNode(t *testing.T) *farNode {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("making a network namespace, to drop datagrams in it, needs root on Linux")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("the command ip of iproute2 is not installed")
	}
	pid := os.Getpid()
	n := &farNode{t: t, space: fmt.Sprintf("rdoc%d", pid%100000), dir: t.TempDir()}
	if out, err := exec.Command("ip", "netns", "add", n.space).CombinedOutput(); err != nil {
		t.Skipf("this system does not let make a network namespace: %s", out)
	}
	t.Cleanup(func() { n.ip("netns del " + n.space) }) // and the wire with it
	here, there := fmt.Sprintf("10.215.%d.1", pid%256), fmt.Sprintf("10.215.%d.2", pid%256)
	n.ip("link add " + n.space + " type veth peer name wire netns " + n.space)
	n.ip("addr add " + here + "/30 dev " + n.space)
	n.ip("link set " + n.space + " up")
	n.ip("-n " + n.space + " addr add " + there + "/30 dev wire")
	n.ip("-n " + n.space + " link set wire up")
	n.ip("-n " + n.space + " link set lo up")
	// What the kernel does first, addresses of its own, comes after rules of ours.
	n.ip("-n " + n.space + " rule add prio 5 lookup local")
	n.ip("-n " + n.space + " rule del prio 0")
	if _, err := certs.Make(n.dir, []string{there}); err != nil {
		t.Fatal(err)
	}
	n.addr = there + ":7000"
	cmd := exec.Command("ip", "netns", "exec", n.space, "rpcnet-test-node", n.dir, n.addr)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the node says %q", line)
	}
	return n
}

// ip runs the command ip.
func (n *farNode) ip(args string) {
	n.t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		n.t.Errorf("ip %s: %v: %s", args, err, out)
	}
}

// doctor runs the command and compares its status and the lines of a step.
func (n *farNode) doctor(status int, want ...string) {
	n.t.Helper()
	got, out, errs := runCommand(n.t, "doctor", "-addr", n.addr, "-dir", n.dir, "-timeout", "4s")
	for _, line := range want {
		if got != status || !strings.Contains(out, line+"\n") {
			n.t.Errorf("status %d, want %d, and %q in\n%s%s", got, status, line, out, errs)
		}
	}
}

// TCP works, UDP does not: the complaint of every cluster that gossips.
func TestFieldDoctorSaysOnWhichWayDatagramsAreLostAndHowLargeTheyAre(t *testing.T) {
	t.Parallel()
	n := startFarNode(t)
	n.doctor(0, "ok    mtu          datagrams of 1472 bytes pass whole; gossip needs 1388")

	const open = "                   -> open UDP port 7000 in the firewalls between, both ways: gossip needs it beside TCP"
	n.ip("-n " + n.space + " rule add prio 1 ipproto udp iif wire blackhole")
	n.doctor(1, "FAIL  udp          TCP works, and no datagram reaches "+n.addr+
		": UDP is dropped on the way from here to the node (nothing came back)", open)
	n.ip("-n " + n.space + " rule del prio 1")

	n.ip("-n " + n.space + " rule add prio 1 ipproto udp iif lo blackhole")
	n.doctor(1, "FAIL  udp          datagrams reach "+n.addr+", and its answers do not come back: UDP is dropped on the way from the node to here", open)
	n.ip("-n " + n.space + " rule del prio 1")

	n.ip("link set " + n.space + " mtu 1400")
	n.ip("-n " + n.space + " link set wire mtu 1400")
	n.doctor(1, "FAIL  mtu          datagrams of 1388 bytes do not pass, and gossip sends such: write: message too long",
		"                   -> raise the MTU of the path to 1500, or of the tunnel in it (ip link; a VPN or an overlay often takes 50 to 100 bytes)")

	n.ip("-n " + n.space + " rule add prio 1 iif wire blackhole")
	n.doctor(1, "                   -> open TCP and UDP port 7000 to this machine in the firewalls between, and see that the node runs")
	t.Log("field | UDP dropped on the way there, on the way back, and datagrams over the MTU | rpcnet doctor says which, and what mends it | 3 of 3")
}
