package cluster_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// devCredentials are those of all nodes of the examples, as "rpcnet certs" makes them on
// disk. A production node reads files: rpcnet.CertFiles.
func devCredentials() (creds rpcnet.Credentials) {
	ca, err := rpctest.NewDevCA()
	if err == nil {
		creds, err = ca.Credentials()
	}
	if err != nil {
		log.Fatal(err)
	}
	return creds
}

// listenLocal returns an endpoint on a free port of this machine.
func listenLocal(creds rpcnet.Credentials) *rpcnet.Endpoint {
	quiet := slog.New(slog.DiscardHandler)
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	return ep
}

// pair returns two nodes that know each other, and a function that ends both.
func pair(ctx context.Context) (director, worker *cluster.Node, closeBoth func()) {
	creds, quiet := devCredentials(), slog.New(slog.DiscardHandler)
	join := func(cfg cluster.Config) *cluster.Node {
		cfg.Logger = quiet
		n, err := cluster.Join(ctx, listenLocal(creds), &cfg)
		if err != nil {
			log.Fatal(err)
		}
		return n
	}
	director = join(cluster.Config{Name: "director", Tags: cluster.Tags{"role": "director"}, ExpectNodes: 2})
	worker = join(cluster.Config{
		Name: "worker-a", Tags: cluster.Tags{"role": "worker", "zone": "a"}, Seeds: []string{director.Self().Addr},
	})
	<-director.Joined() // it sees two members
	return director, worker, func() {
		for _, n := range []*cluster.Node{worker, director} {
			n.Close()
			n.Endpoint().Close()
		}
	}
}

// Two nodes form a cluster. The second needs to know any member of it.
func Example() {
	ctx := context.Background()
	creds := devCredentials() // or rpcnet.CertFiles("cert.pem", "key.pem", "ca.pem")

	first := listenLocal(creds) // rpcnet.Listen("10.0.0.1:61000", creds, nil)
	defer first.Close()
	director, err := cluster.Join(ctx, first, &cluster.Config{
		Name: "director", Cluster: "example", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer director.Close()

	second := listenLocal(creds)
	defer second.Close()
	worker, err := cluster.Join(ctx, second, &cluster.Config{
		Name: "worker-a", Cluster: "example", Logger: slog.New(slog.DiscardHandler),
		Seeds: []string{director.Self().Addr},
		Tags:  cluster.Tags{"role": "worker"},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer worker.Leave(ctx) // in good order; Close would look like a crash

	<-worker.Joined()
	for _, m := range worker.Members() {
		fmt.Println(m.Name, "is", m.State)
	}
	// Output:
	// director is alive
	// worker-a is alive
}

// A second node that cannot reach its seed fails with WaitForSeed. Without, it goes on
// trying in the background.
func ExampleJoin() {
	ep := listenLocal(devCredentials())
	defer ep.Close()
	_, err := cluster.Join(context.Background(), ep, &cluster.Config{
		Name: "worker-a", Seeds: []string{"127.0.0.1:9"}, Logger: slog.New(slog.DiscardHandler),
		Discovery: cluster.DiscoveryConfig{WaitForSeed: true, JoinTimeout: 100 * time.Millisecond},
	})
	fmt.Println(err != nil)

	_, err = cluster.Join(context.Background(), ep, &cluster.Config{Name: "worker a"})
	fmt.Println(err)
	// Output:
	// true
	// cluster: Config.Name: "worker a": must be printable characters without spaces, '@' and '/'
}

// A loop over Watch sees the members as they are and then every change, in order.
func ExampleNode_Watch() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	director, worker, closeBoth := pair(ctx)
	defer closeBoth()

	for e := range director.Watch(ctx) {
		if e.Member.Name != "worker-a" {
			continue
		}
		switch e.Kind {
		case cluster.KindNodeJoined:
			fmt.Println("joined:", e.Member.Name, e.Initial)
			go worker.Leave(ctx)
		case cluster.KindNodeUpdated:
			fmt.Println("updated:", e.Member.Name, e.Member.State)
		case cluster.KindNodeLeft:
			fmt.Println("left:", e.Member.Name)
			<-worker.Done()
			return
		}
	}
	// Output:
	// joined: worker-a true
	// updated: worker-a leaving
	// left: worker-a
}

// Tags describe a node to the others. A change is seen by all within a fraction of a
// second.
func ExampleNode_SetTags() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	director, worker, closeBoth := pair(ctx)
	defer closeBoth()

	if err := worker.UpdateTags(cluster.Tags{"gpu": "h100"}); err != nil {
		log.Fatal(err)
	}
	for e := range director.Watch(ctx) {
		if m := e.Member; m.Name == "worker-a" && m.Tags["gpu"] != "" {
			fmt.Println(m.Tags)
			break
		}
	}
	fmt.Println(worker.SetTags(cluster.Tags{"a key": "with a space"}))
	// Output:
	// gpu=h100,role=worker,zone=a
	// cluster: tag key "a key": ' ' is not a letter, digit, '.', '_', '-' or '/'
}

// NodesWith returns the present members that a selector matches.
func ExampleNode_NodesWith() {
	director, _, closeBoth := pair(context.Background())
	defer closeBoth()

	workers, err := director.NodesWith("role=worker,zone in (a,b)")
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range workers {
		fmt.Println(m.Name, m.Tags["zone"])
	}
	_, err = director.NodesWith("zone in a,b")
	fmt.Println(rpcnet.CodeOf(err), err)
	// Output:
	// worker-a a
	// InvalidArgument cluster: selector "zone in a,b": at character 9: want '(' before the values of "zone"
}

func ExampleParseTags() {
	tags, err := cluster.ParseTags("zone=a, gpu=h100, spot")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tags, tags["zone"], tags.Size(), "bytes")
	// Output: gpu=h100,spot=,zone=a a 22 bytes
}

func ExampleSelector() {
	s, err := cluster.ParseSelector("role=worker, gpu, !draining, zone not in (c)")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s)
	fmt.Println(s.Matches(cluster.Tags{"role": "worker", "gpu": "h100", "zone": "a"}))
	fmt.Println(s.Matches(cluster.Tags{"role": "worker", "gpu": "h100", "zone": "c"}))
	// Output:
	// role=worker,gpu,!draining,zone!=c
	// true
	// false
}

// An event is one change of a node's view, and prints as a line for a log.
func ExampleEvent() {
	e := cluster.Event{
		Kind: cluster.KindNodeFailed, Cause: "refused",
		Member: cluster.Member{Name: "worker-a", Boot: "06h23ayraebx8y6k", Addr: "10.0.0.7:61000", State: cluster.StateFailed},
	}
	fmt.Println(e)
	// Output: NodeFailed{refused} worker-a (06h23ayraebx8y6k) at 10.0.0.7:61000
}

// A director that is cut off with the smaller part of the cluster gives no new work to
// the workers it still sees: Node.Assigns is then false.
func ExamplePartition() {
	onMinority := func(p cluster.Partition) (goOn bool) {
		fmt.Println("cut off:", p.String())
		return false
	}
	cfg := &cluster.Config{Name: "director", Partition: cluster.PartitionConfig{OnMinority: onMinority}}

	// What the node calls when three of five nodes are lost at once:
	cfg.Partition.OnMinority(cluster.Partition{
		Side: "minority", Expected: 5, Reachable: []string{"director", "worker-a"},
		Lost: []string{"worker-b", "worker-c", "worker-d"}, Common: "zone=b",
	})
	// Output: cut off: side=minority reachable=2 lost=3 expected=5, all lost have zone=b
}

// Any node answers an administrator who asks for its view. The one who asks needs no
// node, but a certificate with the role of an administrator or of a node.
func ExampleAdmin() {
	ctx := context.Background()
	creds := devCredentials()
	ep := listenLocal(creds)
	defer ep.Close()
	node, err := cluster.Join(ctx, ep, &cluster.Config{Name: "director", Cluster: "example", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()

	conn, err := rpcnet.Dial(ctx, node.Self().Addr, creds, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	view, err := cluster.Admin{Transport: conn}.Snapshot(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(view.Cluster, view.Self.Name, len(view.Members))
	// Output: example director 1
}
