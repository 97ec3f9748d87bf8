package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/examples/connectionswap/contract"
	"github.com/rpcnet-go/rpcnet/examples/connectionswap/internal/common"
)

// The health check: a worker that has missed so many pings is taken out.
const (
	pingEvery = time.Second
	maxMissed = 3
)

// A pool is the workers that have registered.
type pool struct {
	ep *rpcnet.Endpoint

	mu      sync.Mutex
	workers map[string]*entry
	next    int // of the rotation
}

// An entry is one worker of the pool.
type entry struct {
	label, addr string
	conn        *rpcnet.Conn
	missed      int
}

func director(ctx context.Context) error {
	ep, err := rpcnet.Listen(common.Director(), common.Credentials("test"), nil)
	if err != nil {
		return err
	}
	defer ep.Close()
	p := &pool{ep: ep, workers: map[string]*entry{}}
	srv := rpcnet.NewServer(nil)
	contract.RegisterRegistry(srv, p)
	go p.check(ctx)
	fmt.Println("director ready")
	return ep.Serve(ctx, srv)
}

// Register adds a worker or replaces one that has moved.
func (p *pool) Register(ctx context.Context, req *contract.RegisterRequest) (*contract.RegisterResponse, error) {
	p.mu.Lock()
	old := p.workers[req.Label]
	p.mu.Unlock()
	if old != nil && old.addr == req.Addr {
		return &contract.RegisterResponse{}, nil
	}
	conn, err := p.ep.Dial(ctx, req.Addr, nil)
	if err != nil {
		return nil, rpcnet.Errorf(rpcnet.CodeUnavailable, "cannot reach %s at %s", req.Label, req.Addr)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.workers[req.Label]; old != nil {
		go old.conn.Close()
	}
	p.workers[req.Label] = &entry{label: req.Label, addr: req.Addr, conn: conn}
	fmt.Println("registered", req.Label, "at", req.Addr)
	return &contract.RegisterResponse{}, nil
}

// GetWorker returns the next worker in turn, not the one that has just failed
// if there is another.
func (p *pool) GetWorker(_ context.Context, req *contract.GetWorkerRequest) (*contract.GetWorkerResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	labels := slices.Sorted(maps.Keys(p.workers))
	for range labels {
		p.next++
		w := p.workers[labels[p.next%len(labels)]]
		if w.missed == 0 && (w.label != req.Failed || len(labels) == 1) {
			return &contract.GetWorkerResponse{Label: w.label, Addr: w.addr}, nil
		}
	}
	return nil, rpcnet.NewError(rpcnet.CodeUnavailable, "no workers available")
}

// check pings all workers and removes those that do not answer.
func (p *pool) check(ctx context.Context) {
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
		all := slices.Collect(maps.Values(p.workers))
		p.mu.Unlock()
		var wg sync.WaitGroup
		for _, w := range all {
			wg.Go(func() {
				_, err := contract.NewHealthClient(w.conn).Ping(ctx, &contract.PingRequest{})
				p.pinged(w, err)
			})
		}
		wg.Wait()
	}
}

func (p *pool) pinged(w *entry, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		w.missed = 0
		return
	}
	if w.missed++; w.missed >= maxMissed && p.workers[w.label] == w {
		delete(p.workers, w.label)
		go w.conn.Close()
		fmt.Println("removed", w.label, err)
	}
}
