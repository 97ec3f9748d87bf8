// Command server greets. It needs certificates: go run ./cmd/rpcnet certs.
package main

import (
	"context"
	"fmt"
	"iter"
	"log"
	"os"
	"os/signal"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/examples/greeting"
)

type greeter struct{}

func (greeter) Hello(_ context.Context, req *greeting.HelloRequest) (*greeting.HelloResponse, error) {
	if req.Name == "" {
		return nil, &greeting.NoName{Hint: "try -name"}
	}
	return &greeting.HelloResponse{Text: "Hello, " + req.Name + "!"}, nil
}

func (g greeter) Count(ctx context.Context, req *greeting.CountRequest) iter.Seq2[*greeting.HelloResponse, error] {
	return func(yield func(*greeting.HelloResponse, error) bool) {
		for i := range req.Times {
			if !yield(&greeting.HelloResponse{Text: fmt.Sprintf("%d: hello, %s", i+1, req.Name)}, nil) {
				return // the caller has gone
			}
		}
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ep, err := rpcnet.Listen("127.0.0.1:62100", rpcnet.CertFiles("certs/test_cert.pem", "certs/test_key.pem", "certs/ca.pem"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer ep.Close()
	srv := rpcnet.NewServer(nil)
	greeting.RegisterGreeting(srv, greeter{})
	log.Printf("listening on %s", ep.Addr())
	if err := ep.Serve(ctx, srv); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}
