package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/bench/internal/echo"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/workers"
)

// All ways to call several workers use generated code and the same servers: what
// differs is only who chooses the worker.
var (
	routedOne     = routedLibrary(1)
	directOne     = directLibrary(1)
	routedTen     = routedLibrary(10)
	directedTen   = directedLibrary(10)
	directTen     = directLibrary(10)
	routedHundred = routedLibrary(100)
	directHundred = directLibrary(100)
)

// emptyPayload is an echo.Payload without data, in CBOR: a map of nothing.
var emptyPayload = []byte{0xa0}

// routedCells are the measurements of calls over n workers.
func routedCells(n int) []cell {
	return []cell{
		{kind: unary, size: 32, callers: 1, workers: n},
		{kind: unary, size: 32, callers: 64, workers: n},
	}
}

// routedLibrary is a workers.Client over n workers in one process, which a
// static list names. It chooses a worker for each call.
func routedLibrary(n int) *library {
	return &library{
		name: "workers.Client over " + count(n, "worker"), module: rpcnetModule, workers: n,
		serve: func(c certDir) (string, error) { return serveWorkers(c, n) },
		connector: func(c certDir, addrs string) (connector, error) {
			ep, err := rpcnetEndpoint(c)
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context) (conn, error) {
				return connectRouted(ctx, ep, strings.Split(addrs, ","))
			}, nil
		},
	}
}

// directLibrary makes the same calls on a Conn to each of the n workers. Each
// caller keeps to one of them.
func directLibrary(n int) *library {
	return &library{
		name: "direct Conns to " + count(n, "worker"), module: rpcnetModule, workers: n,
		serve: func(c certDir) (string, error) { return serveWorkers(c, n) },
		connector: func(c certDir, addrs string) (connector, error) {
			ep, err := rpcnetEndpoint(c)
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context) (conn, error) {
				d := &directConns{}
				for addr := range strings.SplitSeq(addrs, ",") {
					conn, err := ep.Dial(ctx, addr, nil)
					if err != nil {
						d.close()
						return nil, err
					}
					d.conns = append(d.conns, generatedConn{conn, echo.NewEchoClient(conn)})
				}
				return d, nil
			}, nil
		},
	}
}

// directedLibrary is a director.Client, which gets the workers to call from a
// director. That is in the server's process, with the n workers.
func directedLibrary(n int) *library {
	return &library{
		name: "director.Client over " + count(n, "worker"), module: rpcnetModule, workers: n,
		serve: func(c certDir) (string, error) {
			addrs, err := serveWorkers(c, n)
			if err != nil {
				return "", err
			}
			return serveDirector(c, strings.Split(addrs, ","))
		},
		connector: func(c certDir, addr string) (connector, error) {
			credentials := rpcnet.CertFiles(c.certificate(), c.key(), c.authority())
			return func(ctx context.Context) (conn, error) {
				client, err := director.Dial(ctx, &director.ClientConfig{Credentials: credentials}, addr)
				if err != nil {
					return nil, err
				}
				return &directedConn{generatedConn{e: echo.NewEchoClient(client)}, client}, nil
			}, nil
		},
	}
}

// serveDirector starts a director of the workers at addrs, which serves until the
// process ends, and returns its address once it can give all of them.
func serveDirector(c certDir, addrs []string) (string, error) {
	ep, err := rpcnetEndpoint(c)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	registry, err := readyRegistry(ctx, ep, addrs)
	if err != nil {
		return "", err
	}
	srv := rpcnet.NewServer(nil)
	director.New(registry, nil).Register(srv)
	go ep.Serve(context.Background(), srv)
	return ep.Addr().String(), nil
}

// serveWorkers starts n workers that serve until the process ends, and returns
// their addresses, separated by commas.
func serveWorkers(c certDir, n int) (string, error) {
	srv := rpcnet.NewServer(nil)
	echo.RegisterEcho(srv, echoServer{})
	addrs := make([]string, n)
	for i := range addrs {
		ep, err := rpcnetEndpoint(c)
		if err != nil {
			return "", err
		}
		if _, err := workers.NewStaticWorker(ep, nil); err != nil {
			return "", err
		}
		go ep.Serve(context.Background(), srv)
		addrs[i] = ep.Addr().String()
	}
	return strings.Join(addrs, ","), nil
}

// readyRegistry returns a registry of the workers at addrs, once all of them can be
// chosen.
func readyRegistry(ctx context.Context, ep *rpcnet.Endpoint, addrs []string) (*workers.Registry, error) {
	members := make([]cluster.Member, len(addrs))
	for i, addr := range addrs {
		members[i] = cluster.Member{Name: fmt.Sprint("worker", i), Addr: addr, Tags: cluster.Tags{"role": "worker"}}
	}
	registry, err := workers.NewStaticRegistry(ep, workers.NewStaticMembers(members...), nil)
	if err != nil {
		return nil, err
	}
	if err := registry.WaitReady(ctx, len(addrs)); err != nil {
		registry.Close()
		return nil, err
	}
	return registry, nil
}

// connectRouted returns a client over the workers at addrs.
func connectRouted(ctx context.Context, ep *rpcnet.Endpoint, addrs []string) (conn, error) {
	registry, err := readyRegistry(ctx, ep, addrs)
	if err != nil {
		return nil, err
	}
	client, err := workers.NewClient(registry, nil)
	if err != nil {
		registry.Close()
		return nil, err
	}
	c := &routedConn{generatedConn{e: echo.NewEchoClient(client)}, client, registry}
	// A client dials a worker for the first call there. All of them are dialled here, as
	// directLibrary does.
	for res := range client.CallAll(ctx, echo.EchoUnaryProcedure, emptyPayload, "") {
		if res.Err != nil {
			c.close()
			return nil, res.Err
		}
	}
	return c, nil
}

// A routedConn is a conn of routedLibrary: the calls of generated code, over
// whatever worker is chosen.
type routedConn struct {
	generatedConn
	client   *workers.Client
	registry *workers.Registry
}

func (c *routedConn) close() {
	c.client.Close()
	c.registry.Close()
}

// A directedConn is a conn of directedLibrary.
type directedConn struct {
	generatedConn
	client *director.Client
}

func (c *directedConn) close() { c.client.Close() }

// directConns is a conn of directLibrary. Its methods are for one goroutine,
// as those that make callers are.
type directConns struct {
	conns []generatedConn
	next  int
}

func (d *directConns) close() {
	for _, c := range d.conns {
		c.close()
	}
}

// turn returns the connections in turns.
func (d *directConns) turn() generatedConn {
	d.next++
	return d.conns[d.next%len(d.conns)]
}

func (d *directConns) caller(ctx context.Context, payload []byte) func() error {
	return d.turn().caller(ctx, payload)
}

func (d *directConns) feed(ctx context.Context, req feedRequest, f func([]byte)) error {
	return d.turn().feed(ctx, req, f)
}

func (d *directConns) talk(ctx context.Context, payload []byte) (func() error, error) {
	return d.turn().talk(ctx, payload)
}
