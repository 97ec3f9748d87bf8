package rpcnet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// devCredentials makes what "rpcnet certs" makes on disk.
func devCredentials() rpcnet.Credentials {
	ca, err := rpctest.NewDevCA()
	if err != nil {
		log.Fatal(err)
	}
	creds, err := ca.Credentials()
	if err != nil {
		log.Fatal(err)
	}
	return creds
}

// upper is a server with one procedure.
func upper(cfg *rpcnet.ServerConfig) *rpcnet.Server {
	srv := rpcnet.NewServer(cfg)
	srv.Handle("upper", func(_ context.Context, in []byte) ([]byte, error) {
		return []byte(strings.ToUpper(string(in))), nil
	})
	return srv
}

func ExampleListen() {
	ctx := context.Background()
	creds := devCredentials() // or rpcnet.CertFiles("node.pem", "node-key.pem", "ca.pem")
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer ep.Close()
	go ep.Serve(ctx, upper(nil))

	conn, err := rpcnet.Dial(ctx, ep.Addr().String(), creds, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	// The server begins to serve in a goroutine: the first call waits for it.
	ctx, _ = rpcnet.NewCall(ctx, rpcnet.CallOptions{WaitForReady: true})
	out, err := rpcnet.CallRaw(ctx, conn, "upper", []byte("hello"))
	fmt.Println(string(out), err)
	// Output: HELLO <nil>
}

func ExampleCallRaw() {
	t := rpcnet.InProcess(upper(nil))
	defer t.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	out, err := rpcnet.CallRaw(ctx, t, "upper", []byte("hello"))
	fmt.Println(string(out), err)
	_, err = rpcnet.CallRaw(ctx, t, "lower", []byte("HELLO"))
	fmt.Println(err)
	// Output:
	// HELLO <nil>
	// Unimplemented: unknown procedure "lower"
}

func ExampleServer_HandleStream() {
	srv := rpcnet.NewServer(nil)
	srv.HandleStream("shout", func(ctx context.Context, st rpcnet.ServerStream) error {
		var word []byte
		for {
			if err := st.Recv(&word); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := st.Send(append(word, '!')); err != nil {
				return err
			}
		}
	})
	t := rpcnet.InProcess(srv)
	defer t.Close()

	st, err := t.NewStream(context.Background(), &rpcnet.Spec{Procedure: "shout", Shape: codegen.ShapeBidi})
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()
	for _, word := range []string{"ready", "steady", "go"} {
		if err := st.Send([]byte(word)); err != nil {
			log.Fatal(err)
		}
	}
	if err := st.CloseSend(); err != nil {
		log.Fatal(err)
	}
	for {
		var word []byte
		if err := st.Recv(&word); err == io.EOF {
			break
		} else if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(word))
	}
	// Output:
	// ready!
	// steady!
	// go!
}

func ExampleNewCall() {
	srv := rpcnet.NewServer(nil)
	srv.Handle("whoami", func(ctx context.Context, _ []byte) ([]byte, error) {
		call := rpcnet.ServerCallFrom(ctx)
		call.SetTrailer("served-by", "worker-7")
		return []byte(call.Header().Get("user")), nil
	})
	t := rpcnet.InProcess(srv)
	defer t.Close()

	ctx, call := rpcnet.NewCall(context.Background(), rpcnet.CallOptions{Header: rpcnet.Header{"user": {"ada"}}})
	out, err := rpcnet.CallRaw(ctx, t, "whoami", nil)
	fmt.Println(string(out), err)
	fmt.Println(call.Trailer().Get("served-by"), call.Attempts())
	// Output:
	// ada <nil>
	// worker-7 1
}

func ExampleNewServer() {
	logged := func(next rpcnet.ServerFunc) rpcnet.ServerFunc {
		return func(ctx context.Context, spec *rpcnet.Spec, st rpcnet.ServerStream) error {
			err := next(ctx, spec, st)
			fmt.Println(spec.Procedure, rpcnet.CodeOf(err))
			return err
		}
	}
	authenticated := func(next rpcnet.ServerFunc) rpcnet.ServerFunc {
		return func(ctx context.Context, spec *rpcnet.Spec, st rpcnet.ServerStream) error {
			if rpcnet.ServerCallFrom(ctx).Header().Get("token") != "secret" {
				return rpcnet.NewError(rpcnet.CodeUnauthenticated, "no token")
			}
			return next(ctx, spec, st)
		}
	}
	t := rpcnet.InProcess(upper(&rpcnet.ServerConfig{Interceptors: []func(rpcnet.ServerFunc) rpcnet.ServerFunc{logged, authenticated}}))
	defer t.Close()

	_, err := rpcnet.CallRaw(context.Background(), t, "upper", []byte("hello"))
	fmt.Println(err)
	ctx, _ := rpcnet.NewCall(context.Background(), rpcnet.CallOptions{Header: rpcnet.Header{"token": {"secret"}}})
	out, err := rpcnet.CallRaw(ctx, t, "upper", []byte("hello"))
	fmt.Println(string(out), err)
	// Output:
	// upper Unauthenticated
	// Unauthenticated: no token
	// upper OK
	// HELLO <nil>
}

func ExampleNewClient() {
	stamped := func(next rpcnet.ClientFunc) rpcnet.ClientFunc {
		return func(ctx context.Context, spec *rpcnet.Spec) (rpcnet.ClientStream, error) {
			fmt.Println("calling", spec.Procedure)
			return next(ctx, spec)
		}
	}
	t := rpcnet.InProcess(upper(nil))
	defer t.Close()
	client := rpcnet.NewClient(t, &rpcnet.ClientConfig{Interceptors: []func(rpcnet.ClientFunc) rpcnet.ClientFunc{stamped}})
	out, err := rpcnet.CallRaw(context.Background(), client, "upper", []byte("hello"))
	fmt.Println(string(out), err)
	// Output:
	// calling upper
	// HELLO <nil>
}

func ExampleEndpoint_Shutdown() {
	creds := devCredentials()
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, nil)
	if err != nil {
		log.Fatal(err)
	}
	srv := rpcnet.NewServer(nil)
	srv.HandleStream("ticks", func(ctx context.Context, st rpcnet.ServerStream) error {
		if err := st.Send([]byte("tick")); err != nil {
			return err
		}
		<-rpcnet.ServerCallFrom(ctx).Draining() // a long stream comes to an end
		return st.Send([]byte("the last tick"))
	})
	served := make(chan error, 1)
	go func() { served <- ep.Serve(context.Background(), srv) }()

	conn, err := rpcnet.Dial(context.Background(), ep.Addr().String(), creds, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	// Serve may not have begun: try until the stream's first message is there.
	spec := &rpcnet.Spec{Procedure: "ticks", Shape: codegen.ShapeServerStream}
	var tick []byte
	var st rpcnet.ClientStream
	for {
		if st, err = conn.NewStream(context.Background(), spec); err != nil {
			log.Fatal(err)
		}
		if err := st.Recv(&tick); rpcnet.CodeOf(err) != rpcnet.CodeUnavailable {
			break
		}
	}
	fmt.Println(string(tick))

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	down := make(chan error, 1)
	go func() { down <- ep.Shutdown(ctx) }()
	for st.Recv(&tick) == nil {
		fmt.Println(string(tick))
	}
	fmt.Println(<-down, <-served)
	// Output:
	// tick
	// the last tick
	// <nil> <nil>
}

func ExampleError_WithDetail() {
	srv := rpcnet.NewServer(nil)
	srv.Handle("buy", func(context.Context, []byte) ([]byte, error) {
		return nil, rpcnet.NewError(rpcnet.CodeFailedPrecondition, "out of stock").
			WithDetail(&codegen.Detail{Name: "shop.v1.Alternative", Data: []byte("a red one")}).
			WithCause(errors.New("row 7 of the stock table is locked")) // stays here
	})
	t := rpcnet.InProcess(srv)
	defer t.Close()
	_, err := rpcnet.CallRaw(context.Background(), t, "buy", nil)
	fmt.Println(err)
	var d *codegen.Detail
	if errors.As(err, &d) {
		fmt.Println(d.Name, string(d.Data))
	}
	// Output:
	// FailedPrecondition: out of stock
	// shop.v1.Alternative a red one
}

func ExampleCodeOf() {
	t := rpcnet.InProcess(rpcnet.NewServer(nil))
	defer t.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := rpcnet.CallRaw(ctx, t, "x", nil)
	fmt.Println(rpcnet.CodeOf(err), errors.Is(err, context.Canceled))
	fmt.Println(rpcnet.CodeOf(errors.New("anything else")), rpcnet.CodeOf(nil))
	// Output:
	// Canceled true
	// Unknown OK
}
