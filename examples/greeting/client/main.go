// Command client is greeted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/examples/greeting"
)

func main() {
	name := flag.String("name", "", "who is greeted")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := rpcnet.Dial(ctx, "127.0.0.1:62100", rpcnet.CertFiles("certs/client_cert.pem", "certs/client_key.pem", "certs/ca.pem"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	// The client is a Greeting like any other.
	var g greeting.Greeting = greeting.NewGreetingClient(conn)
	res, err := g.Hello(ctx, &greeting.HelloRequest{Name: *name})
	var noName *greeting.NoName
	switch {
	case errors.As(err, &noName):
		fmt.Println("the server wants a name:", noName.Hint)
		return
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println(res.Text)
	for res, err := range g.Count(ctx, &greeting.CountRequest{Name: *name, Times: 3}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(res.Text)
	}
}
