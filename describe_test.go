package rpcnet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/schema"
	contract "github.com/rpcnet-go/rpcnet/examples/greeting"
)

// describe asks for services and parses the answer.
func describe(t *testing.T, tr rpcnet.Transport, service string) (services []*schema.Schema, omitted []string) {
	t.Helper()
	out, err := rpcnet.CallRaw(within(t), tr, codegen.DescribeProcedure, []byte(service))
	if err != nil {
		t.Fatal(err)
	}
	services, omitted, err = schema.ParseDescription(out)
	if err != nil {
		t.Fatal(err)
	}
	return services, omitted
}

// greeter is the example's service.
var greeter = &contract.GreetingFuncs{
	HelloFunc: func(_ context.Context, req *contract.HelloRequest) (*contract.HelloResponse, error) {
		if req.Name == "" {
			return nil, &contract.NoName{Hint: "say who"}
		}
		return &contract.HelloResponse{Text: "Hello, " + req.Name + "!"}, nil
	},
	CountFunc: func(_ context.Context, req *contract.CountRequest) iter.Seq2[*contract.HelloResponse, error] {
		return func(yield func(*contract.HelloResponse, error) bool) {
			for i := range req.Times {
				if !yield(&contract.HelloResponse{Text: fmt.Sprint(i+1, ": hello, ", req.Name)}, nil) {
					return
				}
			}
		}
	},
}

// A program without generated code learns the services of a server and calls them in JSON.
func TestServersDescribeThemselves(t *testing.T) {
	t.Parallel()
	srv := rpcnet.NewServer(nil)
	contract.RegisterGreeting(srv, greeter)
	srv.Handle("raw", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	conn := rpcnet.InProcess(srv)
	defer conn.Close()
	services, omitted := describe(t, conn, "")
	if len(services) != 1 || services[0].Service != contract.GreetingName || omitted != nil {
		t.Fatalf("%d services, %q omitted; want greeting.v1.Greeting alone", len(services), omitted)
	}
	if named, _ := describe(t, conn, contract.GreetingName); len(named) != 1 {
		t.Errorf("by name: %d services, want 1", len(named))
	}
	_, err := rpcnet.CallRaw(within(t), conn, codegen.DescribeProcedure, []byte("other.v1.Other"))
	wantCode(t, err, rpcnet.CodeNotFound)

	client := rpcnet.NewClient(conn, nil)
	hello, err := services[0].Spec("Hello", false)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	if err := client.Unary(within(t), hello, []byte(`{"name":"Ada"}`), &out); err != nil || string(out) != `{"text":"Hello, Ada!"}` {
		t.Errorf("Hello: %s, %v", out, err)
	}
	err = client.Unary(within(t), hello, []byte(`{"nmae":"Ada"}`), &out)
	if wantCode(t, err, rpcnet.CodeInvalidArgument); !strings.Contains(err.Error(), `no field "nmae"`) {
		t.Errorf("a wrong field: %v", err)
	}
	err = client.Unary(within(t), hello, []byte(`{}`), &out)
	var d *codegen.Detail
	if !errors.As(err, &d) {
		t.Fatalf("a typed error: %v, want a detail", err)
	}
	if text, err := services[0].DetailJSON(d); err != nil || string(text) != `{"no_name":{"hint":"say who"}}` {
		t.Errorf("the typed error in JSON: %s, %v", text, err)
	}
	count, err := services[0].Spec("Count", false)
	if err != nil {
		t.Fatal(err)
	}
	s, err := client.NewStream(within(t), count)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := codegen.SendOne(s, []byte(`{"name":"Ada","times":2}`)); err != nil {
		t.Fatal(err)
	}
	n := 0
	for err = s.Recv(&out); err == nil; err = s.Recv(&out) {
		n++
	}
	if err != io.EOF || n != 2 {
		t.Errorf("Count: %d messages, then %v; want 2", n, err)
	}
}

// A server that does not describe itself knows no such procedure, and interceptors of the
// program see who asks.
func TestDescribeIsAProcedureAsAnyOther(t *testing.T) {
	t.Parallel()
	srv := rpcnet.NewServer(&rpcnet.ServerConfig{NoDescribe: true})
	contract.RegisterGreeting(srv, greeter)
	conn := rpcnet.InProcess(srv)
	defer conn.Close()
	_, err := rpcnet.CallRaw(within(t), conn, codegen.DescribeProcedure, nil)
	wantCode(t, err, rpcnet.CodeUnimplemented)

	refuse := func(rpcnet.ServerFunc) rpcnet.ServerFunc {
		return func(_ context.Context, spec *rpcnet.Spec, _ rpcnet.ServerStream) error {
			return rpcnet.Errorf(rpcnet.CodePermissionDenied, "%s", spec.Procedure)
		}
	}
	srv = rpcnet.NewServer(&rpcnet.ServerConfig{Interceptors: []func(rpcnet.ServerFunc) rpcnet.ServerFunc{refuse}})
	guarded := rpcnet.InProcess(srv)
	defer guarded.Close()
	_, err = rpcnet.CallRaw(within(t), guarded, codegen.DescribeProcedure, nil)
	wantCode(t, err, rpcnet.CodePermissionDenied)
	for spec := range srv.Specs() {
		t.Errorf("Specs has %s, which the program has not registered", spec.Procedure)
	}
}

// The answer for all services is bounded; what does not fit is named.
func TestDescriptionsAreBounded(t *testing.T) {
	t.Parallel()
	srv := rpcnet.NewServer(nil)
	const services = 5
	doc := strings.Repeat("x", 300<<10)
	for i := range services {
		name := fmt.Sprintf("big.v%d.Big", i)
		text, _ := json.Marshal(map[string]any{"version": 1, "service": name, "doc": doc, "methods": []any{}, "types": map[string]any{}})
		srv.Register(&rpcnet.Spec{Procedure: "/" + name + "/Do", Descriptor: string(text)}, func(context.Context, *rpcnet.Spec, rpcnet.ServerStream) error { return nil })
	}
	conn := rpcnet.InProcess(srv)
	defer conn.Close()
	got, omitted := describe(t, conn, "")
	if len(got) != 3 || len(omitted) != 2 {
		t.Fatalf("%d services and %q, want 3 and 2 more", len(got), omitted)
	}
	for _, name := range omitted {
		if one, _ := describe(t, conn, name); len(one) != 1 || one[0].Service != name {
			t.Errorf("%s is not described by its name", name)
		}
	}
}
