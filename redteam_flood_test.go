//go:build unix

package rpcnet_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// silentConns connects n times to addr and says nothing.
func silentConns(t testing.TB, addr string, n int) {
	t.Helper()
	for range n {
		c, err := net.DialTimeout("tcp", addr, patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
}

// descriptors returns how many descriptors a process has open.
func descriptors(t testing.TB, pid int) int {
	t.Helper()
	d, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Skip("there is no /proc to count descriptors in: ", err)
	}
	return len(d)
}

// Strangers connect and say nothing, many more than may be in their handshake.
// They do not take more descriptors than that, and a crowd of callers that comes
// from the same address at the same time gets in.
func TestAttack03SilentConnections(t *testing.T) {
	ca := testkit.NewCA(t)
	node := newParty(t, ca, credentials.Leaf{})
	var out testkit.Log
	ep, err := rpcnet.Listen("127.0.0.1:0", node.creds, &rpcnet.EndpointConfig{Logger: out.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	serving(ep, echoServer(nil))
	addr := ep.Addr().String()
	const silent, callers, limit = 3000, 100, 512
	before := descriptors(t, os.Getpid())
	var most atomic.Int64
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				most.Store(max(most.Load(), int64(ep.Stats().Handshakes)))
			}
		}
	})
	begin := time.Now()
	silentConns(t, addr, silent)
	var got atomic.Int64
	var crowd sync.WaitGroup
	for range callers {
		crowd.Go(func() {
			c, err := rpcnet.Dial(within(t), addr, node.creds, &rpcnet.DialConfig{Logger: rpctest.Logger(t)})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if _, err := rpcnet.CallRaw(within(t), c, "echo", nil); err == nil {
				got.Add(1)
			}
		})
	}
	crowd.Wait()
	took := time.Since(begin)
	close(stop)
	watch.Wait()
	if got.Load() != callers {
		t.Errorf("%d of %d callers got in", got.Load(), callers)
	}
	kept := descriptors(t, os.Getpid()) - before - silent
	redteam(t, "3000 silent connections", fmt.Sprintf("%d descriptors, %d callers of the same address get in", limit, callers),
		fmt.Sprintf("%d descriptors, %d in their handshake at most, %d callers in %v", kept, most.Load(), got.Load(), took.Round(time.Millisecond)))
	if kept > limit+50 || most.Load() > limit {
		t.Errorf("%d descriptors are kept for strangers, %d were in their handshake: want at most %d", kept, most.Load(), limit)
	}
	if n := strings.Count(out.String(), "\n"); n > 20+15*int(1+took/time.Second) {
		t.Errorf("%d lines in the log in %v", n, took)
	}
	stopsInTime(t, ep)
}

// scarceServer names the variable that makes the test binary serve with few
// descriptors. Its value is the directory of the certificates.
const scarceServer = "RPCNET_TEST_SCARCE_SERVER"

const scarceDescriptors = 256

func init() {
	if dir := os.Getenv(scarceServer); dir != "" {
		serveScarce(dir)
		os.Exit(0)
	}
}

func serveScarce(dir string) {
	limit := syscall.Rlimit{Cur: scarceDescriptors, Max: scarceDescriptors}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		fmt.Println(err)
		return
	}
	ep, err := rpcnet.Listen("127.0.0.1:0", rpcnet.CertFiles(filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "ca")), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	serving(ep, echoServer(nil))
	fmt.Println(ep.Addr())
	os.Stdin.Read(make([]byte, 1)) // until the test closes it
	ep.Close()
}

// A process with few descriptors is flooded with silent connections: those who
// are connected go on, others get in, and the log stays short.
func TestAttack03FewDescriptors(t *testing.T) {
	ca := testkit.NewCA(t)
	b, err := ca.Issue(credentials.Leaf{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"cert": b.Cert, "key": b.Key, "ca": b.CA} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	node := newParty(t, ca, credentials.Leaf{})
	var lines testkit.Log
	cmd := exec.CommandContext(within(t), os.Args[0])
	cmd.Env = append(os.Environ(), scarceServer+"="+dir)
	cmd.Stderr = &lines
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	first, err := bufio.NewReader(stdout).ReadString('\n')
	addr := strings.TrimSpace(first)
	if err != nil || !strings.HasPrefix(addr, "127.0.0.1:") {
		t.Fatalf("the server says %q, %v", first, err)
	}
	dial := func() *rpcnet.Conn {
		c, err := rpcnet.Dial(within(t), addr, node.creds, &rpcnet.DialConfig{Logger: rpctest.Logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	old := dial()
	begin := time.Now()
	silentConns(t, addr, 1000)
	for range 10 {
		mustEcho(t, old, nil)
		mustEcho(t, dial(), nil)
		runtime.Gosched()
	}
	took := time.Since(begin)
	open := descriptors(t, cmd.Process.Pid)
	n := strings.Count(lines.String(), "\n")
	redteam(t, fmt.Sprintf("1000 silent connections, %d descriptors", scarceDescriptors), "an eighth stays free, callers get in within 20s",
		fmt.Sprintf("%d open, 10 callers in %v, %d lines", open, took.Round(time.Millisecond), n))
	if open > scarceDescriptors-scarceDescriptors/8 || took > 20*time.Second || n > 20+15*int(1+took/time.Second) {
		t.Errorf("%d descriptors are open of %d; ten callers took %v to get in; %d lines in the log: %.500s", open, scarceDescriptors, took, n, lines.String())
	}
}
