package rpcnet_test

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/rpcnet-go/rpcnet"
)

// chosen is what a transport learns of the options of a call made with ctx over
// a client with defaults.
func chosen(t *testing.T, ctx context.Context, defaults rpcnet.CallOptions) rpcnet.CallOptions {
	t.Helper()
	var got rpcnet.CallOptions
	tr := transportFunc(func(ctx context.Context, _ *rpcnet.Spec) (rpcnet.ClientStream, error) {
		got = rpcnet.CallFrom(ctx).Options()
		return nil, rpcnet.NewError(rpcnet.CodeUnavailable, "not here")
	})
	c := rpcnet.NewClient(tr, &rpcnet.ClientConfig{Call: defaults})
	if _, err := c.NewStream(ctx, &rpcnet.Spec{Procedure: "m"}); rpcnet.CodeOf(err) != rpcnet.CodeUnavailable {
		t.Fatal(err)
	}
	return got
}

type transportFunc func(context.Context, *rpcnet.Spec) (rpcnet.ClientStream, error)

func (f transportFunc) NewStream(ctx context.Context, spec *rpcnet.Spec) (rpcnet.ClientStream, error) {
	return f(ctx, spec)
}

// allCallOptions has a value in every field of CallOptions.
func allCallOptions(n int) rpcnet.CallOptions {
	name := string(rune('a' + n))
	return rpcnet.CallOptions{
		Header: rpcnet.Header{"k": {name}}, Priority: int8(n), Encoding: name, WaitForReady: true, MaxMessageSize: n,
		DecodeLimits: rpcnet.DecodeLimits{Depth: n}, Attempt: n, Ticket: []byte(name), Selector: name, AffinityKey: name, LastWorker: name,
		Idempotent: true, ServedBy: func(rpcnet.Target, string) {},
	}
}

// Each field of an inner CallOptions replaces that of the outer one, and a zero
// field does not. A client's defaults are below both.
func TestCallOptionsNest(t *testing.T) {
	t.Parallel()
	one := allCallOptions(1)
	for i := range reflect.TypeFor[rpcnet.CallOptions]().NumField() {
		field := reflect.TypeFor[rpcnet.CallOptions]().Field(i)
		if reflect.ValueOf(one).Field(i).IsZero() {
			t.Errorf("allCallOptions has no %s", field.Name)
			continue
		}
		var alone rpcnet.CallOptions
		reflect.ValueOf(&alone).Elem().Field(i).Set(reflect.ValueOf(one).Field(i))
		inner, _ := rpcnet.NewCall(context.Background(), alone)
		nested, _ := rpcnet.NewCall(inner, rpcnet.CallOptions{})
		over, _ := rpcnet.NewCall(func() context.Context { ctx, _ := rpcnet.NewCall(t.Context(), allCallOptions(2)); return ctx }(), alone)
		for what, got := range map[string]rpcnet.CallOptions{
			"default": chosen(t, t.Context(), alone), "call": chosen(t, inner, rpcnet.CallOptions{}), "outer call": chosen(t, nested, rpcnet.CallOptions{}),
			"call over a default": chosen(t, inner, allCallOptions(2)), "call over a call": chosen(t, over, rpcnet.CallOptions{}),
		} {
			v, want := reflect.ValueOf(got).Field(i), reflect.ValueOf(one).Field(i)
			if same := field.Type.Kind() == reflect.Func && !v.IsNil() || reflect.DeepEqual(v.Interface(), want.Interface()); !same {
				t.Errorf("%s as a %s is %v, want %v", field.Name, what, v, want)
			}
		}
	}
}

func TestCallHeadersAreCopiedAndLowered(t *testing.T) {
	t.Parallel()
	given := rpcnet.Header{"X-A": {"1"}, "x-a": {"2"}, "X-B": {"3"}}
	ctx, call := rpcnet.NewCall(t.Context(), rpcnet.CallOptions{Header: given})
	given["X-B"][0] = "changed"
	want := rpcnet.Header{"x-a": {"1", "2"}, "x-b": {"3"}}
	if got := call.Options().Header; !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("the call sends %v, want %v", got, want)
	}
	got := chosen(t, ctx, rpcnet.CallOptions{Header: rpcnet.Header{"X-B": {"default"}, "X-C": {"4"}}}).Header
	want["x-c"] = []string{"4"}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("with a client's defaults it sends %v, want %v", got, want)
	}
	if none := (*rpcnet.Call)(nil).Options(); !reflect.DeepEqual(none, rpcnet.CallOptions{}) {
		t.Errorf("no call has options %v", none)
	}
}

// A client's defaults leave the caller's record of the call in its place.
func TestDefaultsKeepTheRecord(t *testing.T) {
	t.Parallel()
	p := rpcnet.InProcess(echoServer(nil))
	defer p.Close()
	ctx, call := rpcnet.NewCall(within(t), rpcnet.CallOptions{})
	mustEchoWith(t, ctx, rpcnet.NewClient(p, &rpcnet.ClientConfig{Call: rpcnet.CallOptions{Priority: 1}}))
	if _, total := call.Timings(); call.Attempts() != 1 || total <= 0 {
		t.Errorf("%d attempts, %v", call.Attempts(), total)
	}
}

func mustEchoWith(t *testing.T, ctx context.Context, tr rpcnet.Transport) {
	t.Helper()
	if _, err := rpcnet.CallRaw(ctx, tr, "echo", nil); err != nil {
		t.Fatal(err)
	}
}

// A Client without a config of its own is the Client that it is given.
func TestNewClientKeepsAClient(t *testing.T) {
	t.Parallel()
	c := rpcnet.NewClient(transportFunc(nil), &rpcnet.ClientConfig{Call: rpcnet.CallOptions{Priority: 1}})
	if rpcnet.NewClient(c, nil) != c || rpcnet.NewClient(c, &rpcnet.ClientConfig{}) == c {
		t.Error("want the same client with a nil config, another one with a config")
	}
}
