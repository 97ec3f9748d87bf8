package greeting_test

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/examples/greeting"
)

// A service can be tried in one process, without certificates.
func Example() {
	srv := rpcnet.NewServer(nil)
	greeting.RegisterGreeting(srv, &greeting.GreetingFuncs{
		HelloFunc: func(_ context.Context, req *greeting.HelloRequest) (*greeting.HelloResponse, error) {
			if req.Name == "" {
				return nil, &greeting.NoName{Hint: "say who you are"}
			}
			return &greeting.HelloResponse{Text: "Hello, " + req.Name + "!"}, nil
		},
		CountFunc: func(_ context.Context, req *greeting.CountRequest) iter.Seq2[*greeting.HelloResponse, error] {
			return func(yield func(*greeting.HelloResponse, error) bool) {
				for i := range req.Times {
					if !yield(&greeting.HelloResponse{Text: fmt.Sprint(i + 1)}, nil) {
						return
					}
				}
			}
		},
	})
	conn := rpcnet.InProcess(srv)
	defer conn.Close()
	c := greeting.NewGreetingClient(conn)

	ctx := context.Background()
	res, err := c.Hello(ctx, &greeting.HelloRequest{Name: "Ada"})
	fmt.Println(res.Text, err)

	_, err = c.Hello(ctx, &greeting.HelloRequest{})
	var noName *greeting.NoName
	fmt.Println(errors.As(err, &noName), noName.Hint)

	for res, err := range c.Count(ctx, &greeting.CountRequest{Times: 2}) {
		fmt.Println(res.Text, err)
	}
	// Output:
	// Hello, Ada! <nil>
	// true say who you are
	// 1 <nil>
	// 2 <nil>
}
