package rpcnet_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/codegen/schema"
	"github.com/rpcnet-go/rpcnet/codegen/stub"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// A row is 320 bytes of memory, and 1 on the wire when it is empty.
type row struct{ Words [20]string }

// A sheet has rows, and other sheets.
type sheet struct {
	Rows []row
	In   *sheet
}

func appendSheet(b cbor.Buffer, s *sheet) (cbor.Buffer, error) {
	b = append(b.AppendMap(2), "\x64rows"...)
	b = b.AppendArray(len(s.Rows))
	for range s.Rows {
		b = b.AppendMap(0)
	}
	b = append(b, "\x62in"...)
	if s.In == nil {
		return b.AppendNil(), nil
	}
	return appendSheet(b, s.In)
}

var sheetFields = []string{"\x64rows", "\x62in"}

func decodeSheet(d *cbor.Decoder, s *sheet) {
	var f cbor.Fields
	for n := d.Map(); n > 0; n-- {
		k := f.Next(d, sheetFields)
		switch k {
		case 0:
			n := d.Array()
			rows := cbor.Slice[row](d, n)
			for len(rows) < n && d.Err() == nil {
				rows = cbor.Extend(d, rows, n)
				d.Map()
				d.Leave()
			}
			d.Leave()
			s.Rows = rows
		case 1:
			s.In = cbor.New[sheet](d)
			decodeSheet(d, s.In)
		}
		if d.Err() != nil {
			d.InField(sheetFields, k)
			return
		}
	}
	d.Leave()
}

func rows(n int) *sheet { return &sheet{Rows: make([]row, n)} }

func deepSheet(levels int) *sheet {
	s := new(sheet)
	for range levels - 1 {
		s = &sheet{In: s}
	}
	return s
}

// sheetSpec is a method that takes a sheet and returns as many rows and as many
// levels.
func sheetSpec(shape codegen.Shape) *rpcnet.Spec {
	m := stub.StructMessage(appendSheet, decodeSheet, nil)
	return &rpcnet.Spec{Procedure: "/x.S/M", Shape: shape, Request: m, Response: m}
}

// A limitCase is one way to go over a limit of a call. Each side has its options.
type limitCase struct {
	spec   func(*rpcnet.Spec)
	server rpcnet.ServerConfig
	client *rpcnet.CallOptions
	send   *sheet // what the caller sends
	answer *sheet // what the handler sends; nil: nothing much
	ctx    func(context.Context) context.Context
	want   []string
}

func header(key string, values ...string) func(context.Context) context.Context {
	return func(ctx context.Context) context.Context {
		ctx, _ = rpcnet.NewCall(ctx, rpcnet.CallOptions{Header: rpcnet.Header{key: values}})
		return ctx
	}
}

// limitCases is every limit of a call, how to go over it, and what its error
// must say: the exact sizes, and the option or the directive that sets it.
func limitCases() map[string]limitCase {
	small := rpcnet.ServerConfig{MaxMessageSize: 1000}
	tight := rpcnet.ServerConfig{DecodeLimits: rpcnet.DecodeLimits{Budget: 50_000}}
	flat := rpcnet.ServerConfig{DecodeLimits: rpcnet.DecodeLimits{Depth: 10}}
	smallCall := &rpcnet.CallOptions{MaxMessageSize: 1000}
	tightCall := &rpcnet.CallOptions{DecodeLimits: rpcnet.DecodeLimits{Budget: 50_000}}
	wideCall := &rpcnet.CallOptions{DecodeLimits: rpcnet.DecodeLimits{Budget: -1, Depth: -1}}
	limits := func(size int, l cbor.Limits) func(*rpcnet.Spec) {
		return func(s *rpcnet.Spec) { s.MaxMessageSize, s.Limits = size, l }
	}
	const size, option, call, directive = "over the limit of 1000 bytes", "rpcnet.ServerConfig.MaxMessageSize", "rpcnet.CallOptions.MaxMessageSize", "maxsize="
	return map[string]limitCase{
		"size, request, client":             {client: smallCall, send: rows(2000), want: []string{"message of 2013 bytes", size, call}},
		"size, request, server":             {server: small, send: rows(2000), want: []string{"message of", size, option + " of the server"}},
		"size, response, server":            {server: small, send: rows(1), answer: rows(2000), want: []string{"message of 2013 bytes", size, option + " of the server"}},
		"size, response, client":            {client: smallCall, send: rows(1), answer: rows(2000), want: []string{"message of", size, call + " of the client"}},
		"size, request, directive":          {spec: limits(1000, cbor.Limits{}), send: rows(2000), want: []string{"message of 2013 bytes", size, directive}},
		"size, response, directive":         {spec: limits(1000, cbor.Limits{}), send: rows(1), answer: rows(2000), want: []string{"message of 2013 bytes", size, directive}},
		"size, request, server's directive": {spec: limits(1000, cbor.Limits{}), client: &rpcnet.CallOptions{MaxMessageSize: -1}, send: rows(2000), want: []string{"message of", size, directive}},
		"size by one byte":                  {spec: limits(1<<20, cbor.Limits{Budget: -1}), send: rows(1<<20 - 14), want: []string{"message of 1048577 bytes is over the limit of 1048576 bytes", directive}},
		"memory, request, default":          {send: rows(100_000), want: []string{"more memory than allowed", "19977696 bytes", "rpcnet.CallOptions.DecodeLimits"}},
		"memory, response, default":         {send: rows(1), answer: rows(100_000), want: []string{"response", "more memory than allowed", "19977696 bytes", "rpcnet.ServerConfig.DecodeLimits"}},
		"memory, request, server":           {server: tight, send: rows(1000), want: []string{"rows: the value takes more memory than allowed", "50000 bytes", "rpcnet.ServerConfig.DecodeLimits"}},
		"memory, response, client":          {client: tightCall, send: rows(1), answer: rows(1000), want: []string{"response: rows: ", "50000 bytes", "rpcnet.CallOptions.DecodeLimits"}},
		"memory, request, directive":        {spec: limits(0, cbor.Limits{Budget: 50_000}), send: rows(1000), want: []string{"50000 bytes", "budget="}},
		"memory, response, directive":       {spec: limits(0, cbor.Limits{Budget: 50_000}), send: rows(1), answer: rows(1000), want: []string{"50000 bytes", "budget="}},
		"depth, request, default":           {send: deepSheet(70), want: []string{"nested too deep", "64 levels", "rpcnet.CallOptions.DecodeLimits"}},
		"depth, request, receiver's":        {client: wideCall, send: deepSheet(70), want: []string{"nested too deep", "64 levels", "rpcnet.ServerConfig.DecodeLimits"}},
		"depth, request, server":            {server: flat, send: deepSheet(20), want: []string{"nested too deep", "10 levels", "rpcnet.ServerConfig.DecodeLimits"}},
		"depth, response, server":           {send: rows(1), answer: deepSheet(70), want: []string{"response", "nested too deep", "64 levels", "rpcnet.ServerConfig.DecodeLimits"}},
		"depth, request, directive":         {spec: limits(0, cbor.Limits{Depth: 10}), send: deepSheet(20), want: []string{"nested too deep", "10 levels", "depth="}},
		"metadata, bytes":                   {ctx: header("k", strings.Repeat("x", 20_000)), send: rows(1), want: []string{"20001 bytes", "16384", "the protocol"}},
		"metadata, number":                  {ctx: header("k", slices.Repeat([]string{""}, 2000)...), send: rows(1), want: []string{"2001 keys and values", "1024", "the protocol"}},
		"metadata, key":                     {ctx: header("ä", "x"), send: rows(1), want: []string{`"ä"`, "lower-case letter"}},
		"procedure name":                    {spec: func(s *rpcnet.Spec) { s.Procedure = strings.Repeat("x", 256) }, send: rows(1), want: []string{"256 bytes", "want 1 to 255"}},
	}
}

// client returns a client over tr with call options, if there are some.
func client(tr rpcnet.Transport, call *rpcnet.CallOptions) *rpcnet.Client {
	if call == nil {
		return rpcnet.NewClient(tr, nil)
	}
	return rpcnet.NewClient(tr, &rpcnet.ClientConfig{Call: *call})
}

func (c *limitCase) run(t *testing.T, shape codegen.Shape, overTLS bool) error {
	spec := sheetSpec(shape)
	served := *spec
	if c.spec != nil {
		c.spec(spec)
		served = *spec
		served.Procedure = "/x.S/M"
	}
	srv := rpcnet.NewServer(&rpcnet.ServerConfig{Logger: slog.New(slog.DiscardHandler), MaxMessageSize: c.server.MaxMessageSize, DecodeLimits: c.server.DecodeLimits})
	srv.Register(&served, func(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
		if err := s.Recv(new(sheet)); err != nil {
			return err
		}
		if c.answer == nil {
			return s.Send(rows(1))
		}
		return s.Send(c.answer)
	})
	var tr rpcnet.Transport
	if overTLS {
		tr = rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil)
	} else {
		p := rpcnet.InProcess(srv)
		t.Cleanup(func() { p.Close() })
		tr = p
	}
	ctx := within(t)
	if c.ctx != nil {
		ctx = c.ctx(ctx)
	}
	cl := client(tr, c.client)
	if shape == codegen.ShapeUnary {
		return cl.Unary(ctx, spec, c.send, new(sheet))
	}
	s, err := cl.NewStream(ctx, spec)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Send(c.send); err != nil && err != io.EOF {
		return err
	}
	return s.Recv(new(sheet))
}

func TestFieldEveryLimitNamesWhatSetsIt(t *testing.T) {
	t.Parallel()
	for name, c := range limitCases() {
		for _, shape := range []codegen.Shape{codegen.ShapeUnary, codegen.ShapeBidi} {
			for _, overTLS := range []bool{false, true} {
				t.Run(name+", "+shape.String(), func(t *testing.T) {
					err := c.run(t, shape, overTLS)
					for _, want := range c.want {
						if err == nil || !strings.Contains(err.Error(), want) {
							t.Errorf("%v\nwant %q", err, want)
						}
					}
				})
			}
		}
	}
}

// TestFieldFixedLimitsSayWhatIsRight is the same for limits outside calls.
func TestFieldFixedLimitsSayWhatIsRight(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	selector := func(text string) func() error {
		return func() error { _, err := cluster.ParseSelector(text); return err }
	}
	join := func(cfg cluster.Config) func() error {
		return func() error { _, err := cluster.Join(within(t), rpctest.Listen(t, nil), &cfg); return err }
	}
	target := func(to rpcnet.Target) func() error {
		return func() error {
			_, err := rpcnet.Dial(within(t), "127.0.0.1:1", rpctest.Credentials(t), &rpcnet.DialConfig{Target: to})
			return err
		}
	}
	serve := func(procedure string) func() error {
		return func() (err error) { // a name is the program's own: a wrong one is a panic
			defer func() { err = fmt.Errorf("%v", recover()) }()
			rpcnet.NewServer(nil).Handle(procedure, nil)
			return nil
		}
	}
	for name, c := range map[string]struct {
		exceed func() error
		want   []string
	}{
		"selector":           {selector(long), []string{"5000 bytes", "4096"}},
		"selector, key":      {selector(long[:64] + "=a"), []string{"64 bytes", "at most 63"}},
		"selector, terms":    {selector(strings.Repeat("a=b,", 64) + "a=b"), []string{"more than 64 conditions"}},
		"selector, values":   {selector("a in (" + strings.Repeat("b,", 256) + "b)"), []string{"more than 256 values"}},
		"tag, key":           {cluster.Tags{long: "a"}.Validate, []string{long[:64], "want 1 to 63 bytes"}},
		"tag, value":         {cluster.Tags{"zone": long}.Validate, []string{`tag "zone"`, "at most 255 bytes"}},
		"tags":               {cluster.Tags{"a": long[:250], "b": long[:250]}.Validate, []string{"508 bytes", "476"}},
		"name of a node":     {join(cluster.Config{Name: long}), []string{"Config.Name", "at most 64 bytes"}},
		"name of a cluster":  {join(cluster.Config{Name: "a", Cluster: long}), []string{"Cluster", "at most 128 bytes"}},
		"tags of a node":     {join(cluster.Config{Name: "a", Tags: cluster.Tags{"a": long[:250], "b": long[:250]}}), []string{"508 bytes", "476"}},
		"target, cluster":    {target(rpcnet.Target{Cluster: long[:129]}), []string{"129 bytes", "at most 128"}},
		"target, node":       {target(rpcnet.Target{Node: long[:129]}), []string{"129 bytes", "at most 128"}},
		"procedure, served":  {serve(long[:256]), []string{"256 bytes", "want 1 to 255"}},
		"procedure, no name": {serve(""), []string{"0 bytes", "want 1 to 255"}},
		"JSON depth": {func() error {
			_, err := new(schema.Message).AppendJSON(nil, append([]byte(strings.Repeat("\x81", 65)), 0))
			return err
		}, []string{"64 levels", "whatever the options"}},
	} {
		err := c.exceed()
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("%s: an error of %d bytes hides its reason", name, len(err.Error()))
		}
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
}

// TestFieldSparseMessagesArrive: 5000 rows that are nearly empty.
func TestFieldSparseMessagesArrive(t *testing.T) {
	t.Parallel()
	for _, shape := range []codegen.Shape{codegen.ShapeUnary, codegen.ShapeBidi} {
		if err := (&limitCase{send: rows(5000), answer: rows(5000)}).run(t, shape, true); err != nil {
			t.Errorf("%v: %v", shape, err)
		}
	}
}
