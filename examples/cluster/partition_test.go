package cluster_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/proc"
	"github.com/rpcnet-go/rpcnet/internal/certs"
)

// A network is a network namespace with a wire to this one, which can be cut.
type network struct {
	t           *testing.T
	name        string // of the namespace, and of our end of the wire
	here, there string // addresses of the two ends of the wire
}

// newNetwork makes one, or skips the test where that is not possible.
func newNetwork(t *testing.T) *network {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("making a network namespace, to cut the network between two processes, needs root on Linux")
	}
	for _, tool := range []string{"ip", "tc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("making a network namespace needs the command %s", tool)
		}
	}
	// Names and addresses of this run alone.
	pid := os.Getpid()
	subnet := fmt.Sprintf("10.213.%d.", pid%256)
	n := &network{t: t, name: fmt.Sprint("rpcnet", pid), here: subnet + "1", there: subnet + "2"}
	if out, err := exec.Command("ip", "netns", "add", n.name).CombinedOutput(); err != nil {
		t.Skipf("this system lets nobody make a network namespace: %s", out)
	}
	t.Cleanup(func() { n.run("ip netns del " + n.name) }) // and the wire with it
	n.run("ip link add " + n.name + " type veth peer name wire netns " + n.name)
	n.run("ip addr add " + n.here + "/30 dev " + n.name)
	n.run("ip link set " + n.name + " up")
	n.run("ip -n " + n.name + " addr add " + n.there + "/30 dev wire")
	n.run("ip -n " + n.name + " link set wire up")
	n.run("ip -n " + n.name + " link set lo up")
	return n
}

func (n *network) run(command string) {
	n.t.Helper()
	args := strings.Fields(command)
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		n.t.Errorf("%s: %v\n%s", command, err, out)
	}
}

// cut loses what is sent over the wire, without a word to either side: a queue
// of length 0 drops everything.
func (n *network) cut() {
	n.t.Helper()
	n.run("tc qdisc replace dev " + n.name + " root pfifo limit 0")
	n.run("tc -n " + n.name + " qdisc replace dev wire root pfifo limit 0")
}

func (n *network) mend() {
	n.t.Helper()
	n.run("tc qdisc del dev " + n.name + " root")
	n.run("tc -n " + n.name + " qdisc del dev wire root")
}

func TestPartition(t *testing.T) {
	t.Parallel()
	wire := newNetwork(t)
	dir := t.TempDir()
	if _, err := certs.Make(dir, []string{wire.here, wire.there}); err != nil {
		t.Fatal(err)
	}
	f := newFleet(t)
	f.director = freeAddrOf(t, wire.here)
	common := "CERT_DIR=" + dir
	director := f.startDirector(common)
	director.await("🚀 Director ready")
	far := f.startCommand([]string{"ip", "netns", "exec", wire.name, proc.Path(binDir, "worker")}, "worker-far", "",
		common, "WORKER_LABEL=worker-far", "WORKER_ADDR="+wire.there+":62001")
	director.await("1 workers available")
	client := f.startClient(common, "TOKENS=0", "TOKEN_INTERVAL=20ms", "SEED=13")
	client.awaitToken(5)
	f.startWorker("worker-near", common, "WORKER_ADDR="+freeAddrOf(t, wire.here))
	director.await("2 workers available")
	director.skip()

	cut := time.Now()
	wire.cut()
	director.await("NodeFailed", "worker-far")
	t.Logf("the director said that the worker failed after %v", time.Since(cut))
	far.await("NodeFailed", "director")
	client.await("🔄 worker confirmed connection", "worker=worker-near")
	client.await("📦 received token")
	t.Logf("the stream went on after %v", time.Since(cut))
	director.await("1 workers available")

	director.skip()
	mended := time.Now()
	wire.mend()
	director.await("Node", "worker-far (") // recovered, or joined
	t.Logf("the director knew that the worker was back after %v", time.Since(mended))
	director.await("2 workers available")
	f.untilServedBy("worker-far", common)
	client.Stop()
	client.ended(0)
	client.tokens(0, 13)
	director.none("compute failed")
}
