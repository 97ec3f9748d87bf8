package rpcnet

import (
	"context"
	"io"
	"slices"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/hook"
)

// A Client makes calls over a [Transport]. Generated clients hold one. It comes
// from [NewClient]: the zero value has no transport, and its calls fail with
// CodeFailedPrecondition. It is safe for concurrent use.
type Client struct {
	open  ClientFunc
	unary unaryCaller // nil when interceptors or the transport need the long way
}

// A unaryCaller is a transport with a short cut for unary calls.
type unaryCaller interface {
	callUnary(ctx context.Context, spec *Spec, req, res any) error
}

// NewClient returns a client that makes its calls over t. A nil cfg means no
// interceptors and no defaults; then a t that is a Client itself is returned as
// it is. The config is copied.
func NewClient(t Transport, cfg *ClientConfig) *Client {
	if cfg == nil {
		if c, ok := t.(*Client); ok {
			return c
		}
		cfg = &ClientConfig{}
	}
	c := &Client{open: t.NewStream}
	if !cfg.Call.zero() {
		var call CallOptions
		call.override(&cfg.Call)
		c.open = func(ctx context.Context, spec *Spec) (ClientStream, error) {
			return t.NewStream(withDefaults(ctx, &call), spec)
		}
	} else if len(cfg.Interceptors) == 0 {
		c.unary, _ = t.(unaryCaller)
	}
	for _, i := range slices.Backward(cfg.Interceptors) {
		c.open = i(c.open)
	}
	return c
}

// NewStream starts a call. It makes a Client a [Transport] itself.
func (c *Client) NewStream(ctx context.Context, spec *Spec) (ClientStream, error) {
	if c.open == nil {
		return nil, NewError(CodeFailedPrecondition, "a Client without a transport: use rpcnet.NewClient").WithUnprocessed()
	}
	return c.open(ctx, spec)
}

// Unary makes a call with one request and one response, which is decoded into
// res, a pointer.
func (c *Client) Unary(ctx context.Context, spec *Spec, req, res any) error {
	if c.unary != nil {
		return c.unary.callUnary(ctx, spec, req, res)
	}
	s, err := c.NewStream(ctx, spec)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := codegen.SendOne(s, req); err != nil {
		return err
	}
	return recvOne(s, res)
}

// recvOne receives the single response of a call into res, a pointer, and the end
// after it.
func recvOne(s hook.Receiver, res any) error {
	if err := s.Recv(res); err != nil {
		if err == io.EOF {
			return NewError(CodeInternal, "the call ended without a response")
		}
		return err
	}
	var extra []byte
	if err := s.Recv(&extra); err != io.EOF {
		if err == nil || CodeOf(err) == CodeInvalidArgument {
			return NewError(CodeInternal, "more than one response to a unary call")
		}
		return err
	}
	return nil
}

func init() { hook.RecvOne = recvOne }

// CallRaw makes a unary call without a contract: bytes in, bytes out. The
// result belongs to the caller; in is not kept.
func CallRaw(ctx context.Context, t Transport, procedure string, in []byte) ([]byte, error) {
	if r, ok := t.(rawCaller); ok {
		return r.callRaw(ctx, procedure, in)
	}
	var out []byte
	c := Client{open: t.NewStream}
	err := c.Unary(ctx, &Spec{Procedure: procedure}, in, &out)
	return out, err
}

// A rawCaller is a transport with a short cut for [CallRaw].
type rawCaller interface {
	callRaw(ctx context.Context, procedure string, in []byte) ([]byte, error)
}
