package cluster_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/model"
	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/proc"
	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/transcript"
	"github.com/rpcnet-go/rpcnet/internal/certs"
)

// The tests of this package run the real programs as child processes on free
// ports, follow their logs and send them signals. They wait for lines, with a
// deadline, and never for a time. Where a scenario of the specification has a
// limit, the time that was measured is logged.

// patience is how long a test waits for a line that must come: far longer than
// it takes, since the machine may be busy with other things.
const patience = 30 * time.Second

var (
	binDir  string // of the programs
	certDir string // of the certificates that all clusters share
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	// The tests wait more than they compute: let all of them run at once.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		f.Value.Set("16")
	}
	dir, err := os.MkdirTemp("", "rpcnet-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		binDir, certDir = dir+"/bin", dir+"/certs"
		_, err = certs.Make(certDir, nil)
	}
	if err == nil {
		err = errors.Join(os.Mkdir(binDir, 0o755), proc.Build(context.Background(), binDir, []string{"director", "worker", "client", "demo"}, buildArgs...))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// nextPort is the last port that was tried.
var nextPort atomic.Uint32

func init() { nextPort.Store(20000 + rand.Uint32N(6000)) }

// freeAddr returns an address whose port is free for TCP and UDP, below the
// range that the system gives to clients, and not given out before.
func freeAddr(t *testing.T) string {
	t.Helper()
	return freeAddrOf(t, "127.0.0.1")
}

func freeAddrOf(t *testing.T, host string) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("%s:%d", host, nextPort.Add(1))
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		udp, err := net.ListenPacket("udp", addr)
		tcp.Close()
		if err != nil {
			continue
		}
		udp.Close()
		return addr
	}
	t.Fatal("no free port")
	return ""
}

// A fleet is the processes of one test.
type fleet struct {
	t        *testing.T
	director string // its address
	nodes    []*node
}

func newFleet(t *testing.T) *fleet {
	f := &fleet{t: t, director: freeAddr(t)}
	t.Cleanup(f.end)
	return f
}

// end kills what still runs, and shows what all have said if the test failed.
func (f *fleet) end() {
	for _, n := range f.nodes {
		n.Kill()
		<-n.Done()
		if report := n.find("DATA RACE", "panic:", "fatal error:"); report != "" {
			f.t.Errorf("%s: %s", n.name, report)
		}
	}
	if !f.t.Failed() {
		return
	}
	for _, n := range f.nodes {
		f.t.Logf("%s said:\n%s", n.name, strings.Join(shortened(n.lines()), "\n"))
	}
}

// shortened leaves out tokens that come between others.
func shortened(lines []string) []string {
	isToken := func(i int) bool {
		if i < 0 || i >= len(lines) {
			return false
		}
		_, ok := transcript.ParseToken(lines[i])
		return ok
	}
	var short []string
	for i, l := range lines {
		if !isToken(i-1) || !isToken(i) || !isToken(i+1) {
			short = append(short, l)
		}
	}
	return short
}

// A node is one process with the lines it has printed.
type node struct {
	*proc.Process
	t    *testing.T
	name string
	addr string // that it binds, "" for a client

	mu    sync.Mutex
	log   []line
	more  chan struct{} // closed and replaced with each line
	tally transcript.Tally
	seen  int // lines that await has passed; of the test's goroutine
}

type line struct {
	at   time.Time
	text string
}

// start runs a program. Variables given later win.
func (f *fleet) start(program, name, addr string, env ...string) *node {
	f.t.Helper()
	return f.startCommand([]string{proc.Path(binDir, program)}, name, addr, env...)
}

// startCommand runs a program by its command line.
func (f *fleet) startCommand(command []string, name, addr string, env ...string) *node {
	f.t.Helper()
	n := &node{t: f.t, name: name, addr: addr, more: make(chan struct{})}
	env = append([]string{"CERT_DIR=" + certDir, "DIRECTOR_ADDR=" + f.director, "LOG_LEVEL=", "RUST_LOG="}, env...)
	p, err := proc.Start(command[0], command[1:], env, n.hear)
	if err != nil {
		f.t.Fatal(err)
	}
	n.Process = p
	f.nodes = append(f.nodes, n)
	return n
}

func (f *fleet) startDirector(env ...string) *node {
	f.t.Helper()
	return f.start("director", "director", f.director, env...)
}

// startWorker runs a worker at a free address, or at that of an earlier one
// through WORKER_ADDR in env.
func (f *fleet) startWorker(label string, env ...string) *node {
	f.t.Helper()
	addr := ""
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "WORKER_ADDR="); ok {
			addr = v
		}
	}
	if addr == "" {
		addr = freeAddr(f.t)
	}
	return f.start("worker", label, addr, append([]string{"WORKER_LABEL=" + label, "WORKER_ADDR=" + addr}, env...)...)
}

func (f *fleet) startClient(env ...string) *node {
	f.t.Helper()
	return f.start("client", "client", "", env...)
}

// startPair runs a director and two workers and waits until it lists both.
func (f *fleet) startPair(env ...string) (director, a, b *node) {
	f.t.Helper()
	director = f.startDirector()
	director.await("🚀 Director ready")
	a, b = f.startWorker("worker-a", env...), f.startWorker("worker-b", env...)
	director.await("2 workers available")
	return director, a, b
}

// untilServedBy runs clients one after another until a worker has served one:
// it is chosen again.
func (f *fleet) untilServedBy(worker string, env ...string) {
	f.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		client := f.startClient(append([]string{"TOKENS=1"}, env...)...)
		client.ended(0)
		if client.find("🔄 worker confirmed connection worker="+worker+" ") != "" {
			return
		}
	}
	f.t.Fatalf("%s has not been chosen in %v", worker, patience)
}

func (n *node) hear(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := line{time.Now(), s}
	n.log = append(n.log, l)
	n.tally.Line(l.at, s)
	close(n.more)
	n.more = make(chan struct{})
}

// lines returns all lines so far.
func (n *node) lines() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := make([]string, len(n.log))
	for i, l := range n.log {
		s[i] = l.text
	}
	return s
}

// find returns the first line so far with one of the texts, or "".
func (n *node) find(texts ...string) string {
	for _, l := range n.lines() {
		for _, text := range texts {
			if strings.Contains(l, text) {
				return l
			}
		}
	}
	return ""
}

// none checks that no line so far contains one of the texts.
func (n *node) none(texts ...string) {
	n.t.Helper()
	if l := n.find(texts...); l != "" {
		n.t.Errorf("%s said: %s", n.name, l)
	}
}

// await waits for a line that contains all of the texts, after those that it
// returned before.
func (n *node) await(texts ...string) line {
	n.t.Helper()
	return n.awaitLine(fmt.Sprintf("a line with %q", texts), func(s string) bool {
		for _, text := range texts {
			if !strings.Contains(s, text) {
				return false
			}
		}
		return true
	})
}

// awaitToken waits for the token with a number of at least n.
func (n *node) awaitToken(number uint64) line {
	n.t.Helper()
	return n.awaitLine(fmt.Sprintf("token %d", number), func(s string) bool {
		token, ok := transcript.ParseToken(s)
		return ok && token.Sequence >= number
	})
}

func (n *node) awaitLine(what string, want func(string) bool) line {
	n.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		n.mu.Lock()
		more := n.more
		for n.seen < len(n.log) {
			l := n.log[n.seen]
			n.seen++
			if want(l.text) {
				n.mu.Unlock()
				return l
			}
		}
		n.mu.Unlock()
		select {
		case <-more:
		case <-n.Done():
			n.mu.Lock()
			ended := n.seen == len(n.log)
			n.mu.Unlock()
			if ended {
				n.t.Fatalf("%s ended with status %d before %s", n.name, n.Status(), what)
			}
		case <-deadline.C:
			n.t.Fatalf("%s: no sign of %s in %v", n.name, what, patience)
		}
	}
}

// skip has await look only at lines that are still to come.
func (n *node) skip() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = len(n.log)
}

// ended waits for the process to end and checks its exit status.
func (n *node) ended(status int) {
	n.t.Helper()
	select {
	case <-n.Done():
	case <-time.After(patience):
		n.t.Fatalf("%s has not ended in %v", n.name, patience)
	}
	if got := n.Status(); got != status {
		n.t.Errorf("%s: exit status %d, want %d", n.name, got, status)
	}
}

// tokens checks that a client has the tokens 1 to n, in order, each once and
// with the text of the seed; for n = 0 however many there are. It returns how
// the client came by them.
func (n *node) tokens(want int, seed uint64) transcript.Tally {
	n.t.Helper()
	number := uint64(0)
	for _, l := range n.lines() {
		token, ok := transcript.ParseToken(l)
		if !ok {
			continue
		}
		number++
		if token.Sequence != number || token.Text != model.Token(seed, number) {
			n.t.Fatalf("%s: token %d is %q, want token %d %q", n.name, token.Sequence, token.Text, number, model.Token(seed, number))
		}
	}
	if want != 0 && number != uint64(want) {
		n.t.Errorf("%s: %d tokens, want %d", n.name, number, want)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.tally.Whole() {
		n.t.Errorf("%s: tally %+v", n.name, n.tally)
	}
	return n.tally
}
