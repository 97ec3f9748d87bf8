package director_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/internal/directorv1"
	"github.com/rpcnet-go/rpcnet/rpctest"
	"github.com/rpcnet-go/rpcnet/workers"
)

// A holder is who has a certificate in the table of roles.
type holder struct {
	name    string
	creds   func(*rpctest.DevCA) (rpcnet.Credentials, error)
	cluster string // that it wants to join
	may     string // what it may, by the letters of trials
}

// stating makes a certificate for servers and clients whose SPIFFE id states a
// role.
func stating(role string) func(*rpctest.DevCA) (rpcnet.Credentials, error) {
	return func(ca *rpctest.DevCA) (rpcnet.Credentials, error) {
		return ca.Credentials("spiffe://test/rpcnet/"+role+"/x", "localhost", "127.0.0.1", "::1")
	}
}

// TestAttackRolesOfCertificates tries everything that the table of
// docs/security.md lists with the certificate of everybody in it. The letters
// stand for: c make calls, j join the cluster, m read its members, w watch the
// load of workers, t be taken for a worker, d be taken for a director.
func TestAttackRolesOfCertificates(t *testing.T) {
	t.Parallel()
	other, err := rpctest.NewDevCA()
	if err != nil {
		t.Fatal(err)
	}
	seed := startDirector(t, "director", "", "")
	worker := startWorker(t, "worker", "", seed.addr, workers.WorkerConfig{})
	ready(t, seed, 1)
	for _, h := range []holder{
		{"stranger", func(*rpctest.DevCA) (rpcnet.Credentials, error) { return other.Credentials() }, "", "------"},
		{"client", func(ca *rpctest.DevCA) (rpcnet.Credentials, error) { return ca.ClientCredentials("x") }, "", "c-----"},
		{"client by its SPIFFE id", stating("client"), "", "c-----"},
		{"worker", stating("worker"), "", "cj--t-"},
		{"director", stating("director"), "", "cj-w-d"},
		{"node", stating("node"), "", "cj-wtd"},
		{"administrator", stating("admin"), "", "c-m---"},
		{"node of another cluster", stating("node"), "another", "c--w-d"},
		{"certificate for servers without a role", func(ca *rpctest.DevCA) (rpcnet.Credentials, error) { return ca.Credentials() }, "", "cjmwtd"},
	} {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			creds, err := h.creds(authority())
			if err != nil {
				t.Fatal(err)
			}
			a := &trial{creds: creds, name: "x-" + strings.ReplaceAll(h.name, " ", "-"), cluster: h.cluster, seed: seed, worker: worker}
			var got strings.Builder
			for _, try := range []struct {
				letter byte
				may    func(*testing.T) bool
			}{{'c', a.calls}, {'j', a.joins}, {'m', a.members}, {'w', a.watches}, {'t', a.taken}, {'d', a.directs}} {
				if !try.may(t) {
					try.letter = '-'
				}
				got.WriteByte(try.letter)
			}
			if got.String() != h.may {
				t.Errorf("%s may %s, want %s", h.name, &got, h.may)
			}
			t.Logf("redteam | certificate: %s; may call, join, read members, watch load, be worker, be director | %s | %s", h.name, h.may, &got)
		})
	}
}

// A trial is one holder of a certificate who tries what he may.
type trial struct {
	creds         rpcnet.Credentials
	name, cluster string
	seed, worker  *process
	node          *cluster.Node // if he has joined
	ep            *rpcnet.Endpoint
}

// dial connects to a worker.
func (a *trial) dial(t *testing.T) (*rpcnet.Conn, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return rpcnet.Dial(ctx, a.worker.addr, a.creds, &rpcnet.DialConfig{Logger: quiet})
}

func (a *trial) calls(t *testing.T) bool {
	conn, err := a.dial(t)
	if err != nil {
		return false
	}
	defer conn.Close()
	out, err := rpcnet.CallRaw(t.Context(), conn, "name", nil)
	return err == nil && string(out) == "worker"
}

func (a *trial) members(t *testing.T) bool {
	conn, err := a.dial(t)
	if err != nil {
		return false
	}
	defer conn.Close()
	v, err := cluster.Admin{Transport: conn}.Snapshot(t.Context())
	return err == nil && len(v.Members) > 0
}

// watches reports whether the holder is told the load of a worker, or would be
// if it asked in the right form.
func (a *trial) watches(t *testing.T) bool {
	conn, err := a.dial(t)
	if err != nil {
		return false
	}
	defer conn.Close()
	s, err := conn.NewStream(t.Context(), &rpcnet.Spec{Procedure: "/cluster.v1.Worker/Watch", Shape: codegen.ShapeServerStream})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Send([]byte{})
	s.CloseSend()
	var b []byte
	return rpcnet.CodeOf(s.Recv(&b)) != rpcnet.CodePermissionDenied
}

// joins joins the cluster, as a worker.
func (a *trial) joins(t *testing.T) bool {
	ep, err := rpcnet.Listen("127.0.0.1:0", a.creds, &rpcnet.EndpointConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ep.Close() })
	a.ep = ep
	node, err := cluster.Join(t.Context(), ep, &cluster.Config{
		Name: a.name, Cluster: a.cluster, Tags: cluster.Tags{"role": "worker", "trial": a.name}, Seeds: []string{a.seed.addr},
		Discovery: cluster.DiscoveryConfig{WaitForSeed: true, JoinTimeout: 3 * time.Second}, Logger: quiet,
	})
	if err != nil {
		return false
	}
	t.Cleanup(func() { node.Close() })
	a.node = node
	if _, err := workers.NewWorker(node, &workers.WorkerConfig{Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	return true
}

// taken reports whether the director takes the holder for a worker.
func (a *trial) taken(t *testing.T) bool {
	if a.node == nil {
		_, known := a.seed.registry.Worker(a.name)
		return known
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		switch w, _ := a.seed.registry.Worker(a.name); {
		case w.Ready:
			return true
		case strings.Contains(w.Reason, "may not be used as worker"):
			return false
		}
	}
	t.Error("the registry neither takes it for a worker nor says why not")
	return false
}

// directs reports whether a client takes the holder for a director.
func (a *trial) directs(t *testing.T) bool {
	if a.ep == nil {
		return false
	}
	srv := rpcnet.NewServer(nil)
	asked := make(chan struct{}, 1)
	srv.Handle(directorv1.DirectorGetWorkerProcedure, func(context.Context, []byte) ([]byte, error) {
		select {
		case asked <- struct{}{}:
		default:
		}
		return nil, rpcnet.NewError(rpcnet.CodeUnavailable, "none")
	})
	served := make(chan error, 1)
	go func() { served <- a.ep.Serve(context.Background(), srv) }()
	defer func() { a.ep.Close(); <-served }()
	c, err := director.Dial(t.Context(), &director.ClientConfig{Credentials: clientNamed(t, "c"), ClientConfig: noWait, Logger: quiet}, a.ep.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for ctx.Err() == nil {
		c.CallWorker(ctx, "name", nil, "")
		select {
		case <-asked:
			return true
		case <-time.After(5 * time.Millisecond):
		}
	}
	return false
}
