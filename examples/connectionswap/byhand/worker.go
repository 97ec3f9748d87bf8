package main

import (
	"context"
	"fmt"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/examples/connectionswap/contract"
	"github.com/rpcnet-go/rpcnet/examples/connectionswap/internal/common"
)

// registerEvery is how often a worker says that it is there, so that a director
// that has restarted or has removed it learns of it again.
const registerEvery = 2 * time.Second

type health struct{}

func (health) Ping(context.Context, *contract.PingRequest) (*contract.PingResponse, error) {
	return &contract.PingResponse{}, nil
}

func worker(ctx context.Context) error {
	label := common.Env("WORKER_LABEL", "worker-1")
	ep, err := rpcnet.Listen(common.Env("WORKER_ADDR", "127.0.0.1:62001"), common.Credentials("test"), nil)
	if err != nil {
		return err
	}
	defer ep.Close()
	srv := rpcnet.NewServer(nil)
	contract.RegisterInference(srv, common.Model{Label: label})
	contract.RegisterHealth(srv, health{})
	go register(ctx, ep, label)
	return ep.Serve(ctx, srv)
}

// register tells the director of this worker, again and again.
func register(ctx context.Context, ep *rpcnet.Endpoint, label string) {
	var conn *rpcnet.Conn
	known := false
	for ctx.Err() == nil {
		var err error
		if conn == nil {
			conn, err = ep.Dial(ctx, common.Director(), nil)
		}
		if err == nil {
			req := &contract.RegisterRequest{Label: label, Addr: ep.Addr().String()}
			_, err = contract.NewRegistryClient(conn).Register(ctx, req)
		}
		if err != nil {
			known = false
			fmt.Println("director does not answer:", err)
		} else if !known {
			known = true
			fmt.Println("registered with the director")
		}
		select {
		case <-time.After(registerEvery):
		case <-ctx.Done():
		}
	}
}
