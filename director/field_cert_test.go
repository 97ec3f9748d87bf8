package director_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/workers"
)

// A fleet is how the nodes of a cluster are named and certified, by their names.
type fleet struct {
	hosts     func(name string) []string // of the certificate
	advertise func(name string) string   // Config.Advertise
	dialled   string                     // the host by which the seed and the director are dialled
	roles     rpcnet.Roles               // on every node, and at the client
}

// resolve knows every name of the fleet, but none that is dialled by the system.
func resolve(_ context.Context, host string) ([]string, error) {
	if strings.HasSuffix(host, ".example") || host == "localhost" {
		return []string{"127.0.0.1"}, nil
	}
	return nil, fmt.Errorf("%s: no such host", host)
}

// node starts a node of the fleet that serves "name".
func (f *fleet) node(t *testing.T, name, seed string, tags cluster.Tags, setup func(*cluster.Node, *rpcnet.Server)) *rpcnet.Endpoint {
	t.Helper()
	creds, err := authority().Credentials(f.hosts(name)...)
	if err != nil {
		t.Fatal(err)
	}
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: quiet, Roles: f.roles})
	if err != nil {
		t.Fatal(err)
	}
	cfg := cluster.Config{Name: name, Tags: tags, Logger: quiet, Discovery: cluster.DiscoveryConfig{Resolve: resolve}, Advertise: f.advertise(name)}
	if seed != "" {
		cfg.Seeds = []string{seed}
	}
	node, err := cluster.Join(t.Context(), ep, &cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv := rpcnet.NewServer(nil)
	srv.Handle("name", func(context.Context, []byte) ([]byte, error) { return []byte(name), nil })
	setup(node, srv)
	served := make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer close(served)
		ep.Serve(ctx, srv)
	}()
	t.Cleanup(func() {
		ep.Close()
		node.Close()
		stop()
		<-served
	})
	return ep
}

// at returns the address of an endpoint by the name that the fleet dials it by.
func (f *fleet) at(ep *rpcnet.Endpoint) string {
	_, port, _ := net.SplitHostPort(ep.Addr().String())
	return net.JoinHostPort(f.dialled, port)
}

// calls runs three nodes, a director, a worker and one more, and a client that
// calls through the director. It returns how long that took.
func (f *fleet) calls(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	var first *cluster.Node
	d := f.node(t, "director", "", cluster.Tags{"role": "director"}, func(n *cluster.Node, srv *rpcnet.Server) {
		first = n
		r, err := workers.NewRegistry(n, &workers.RegistryConfig{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		director.New(r, &director.Config{Logger: quiet}).Register(srv)
	})
	f.node(t, "worker", f.at(d), cluster.Tags{"role": "worker"}, func(n *cluster.Node, _ *rpcnet.Server) {
		w, err := workers.NewWorker(n, &workers.WorkerConfig{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close() })
	})
	f.node(t, "third", f.at(d), nil, func(*cluster.Node, *rpcnet.Server) {})
	within(t, "all three are in the view", func() bool { return len(first.Members()) == 3 })
	client, err := authority().ClientCredentials("client.example")
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, director.ClientConfig{Credentials: client, Roles: f.roles, ClientConfig: noWait}, f.at(d))
	within(t, "a call gets through", func() bool {
		out, err := c.CallWorker(t.Context(), "name", nil, "")
		if err != nil {
			t.Log(err)
			time.Sleep(100 * time.Millisecond)
		}
		return err == nil && string(out) == "worker"
	})
	return time.Since(began)
}

// A cluster works whatever its certificates carry: DNS names, SPIFFE ids, or
// addresses alone.
func TestFieldWhatTheCertificatesOfAClusterCarry(t *testing.T) {
	t.Parallel()
	nothing := func(string) string { return "" }
	for name, f := range map[string]*fleet{
		"DNS names, advertised": {
			hosts:     func(name string) []string { return []string{name + ".example", "localhost"} },
			advertise: func(name string) string { return name + ".example" },
			dialled:   "localhost",
		},
		"DNS names, addresses advertised": {
			hosts:     func(name string) []string { return []string{name + ".example", "localhost"} },
			advertise: nothing,
			dialled:   "localhost",
		},
		"SPIFFE ids that state a role": {
			hosts:     func(name string) []string { return []string{"spiffe://prod.example/rpcnet/node/" + name} },
			advertise: nothing,
			dialled:   "127.0.0.1",
		},
		"SPIFFE ids and a rule": {
			hosts:     func(name string) []string { return []string{"spiffe://prod.example/ns/" + name} },
			advertise: nothing,
			dialled:   "127.0.0.1",
			roles:     rpcnet.Roles{Node: rpcnet.PeerPattern("spiffe://prod.example/**")},
		},
		"addresses": {
			hosts:     func(string) []string { return []string{"127.0.0.1"} },
			advertise: nothing,
			dialled:   "127.0.0.1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Logf("field | a cluster whose certificates carry %s alone | a call through a director | after %v", name, f.calls(t).Round(time.Millisecond))
		})
	}
}

// A SPIFFE id without a role, under no rule, is nobody's: the error says what to set.
func TestFieldASPIFFEIdNeedsARule(t *testing.T) {
	t.Parallel()
	f := &fleet{
		hosts:     func(name string) []string { return []string{"spiffe://prod.example/ns/" + name} },
		advertise: func(string) string { return "" },
		dialled:   "127.0.0.1",
	}
	d := f.node(t, "director", "", nil, func(*cluster.Node, *rpcnet.Server) {})
	creds, err := authority().Credentials("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	_, err = cluster.Join(t.Context(), ep, &cluster.Config{Name: "b", Seeds: []string{f.at(d)}, Discovery: cluster.DiscoveryConfig{WaitForSeed: true, JoinTimeout: time.Second}, Logger: quiet})
	for _, want := range []string{"carries no DNS name and no IP address", "rpcnet.PeerPattern"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}
