package main

import (
	"context"
	"crypto/tls"
	"net/rpc"
)

// netRPC is net/rpc of the standard library, with gob over TLS. It has no
// streams, no deadlines and no cancellation.
var netRPC = &library{
	name: "net/rpc",
	serve: func(c certDir) (string, error) {
		config, err := c.server()
		if err != nil {
			return "", err
		}
		l, err := tls.Listen("tcp", "127.0.0.1:0", config)
		if err != nil {
			return "", err
		}
		s := rpc.NewServer()
		if err := s.RegisterName("Echo", netRPCServer{}); err != nil {
			return "", err
		}
		go s.Accept(l)
		return l.Addr().String(), nil
	},
	connector: func(c certDir, addr string) (connector, error) {
		config, err := c.client()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (conn, error) {
			tc, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", addr)
			if err != nil {
				return nil, err
			}
			return netRPCConn{rpc.NewClient(tc)}, nil
		}, nil
	},
	skips: func(c cell) string {
		if c.streams > 0 {
			return "no streams"
		}
		return ""
	},
}

// A NetRPCPayload is a message of net/rpc.
type NetRPCPayload struct{ Data []byte }

type netRPCServer struct{}

// Unary returns its request.
func (netRPCServer) Unary(req *NetRPCPayload, res *NetRPCPayload) error {
	*res = *req
	return nil
}

type netRPCConn struct{ c *rpc.Client }

func (c netRPCConn) close() { c.c.Close() }

func (c netRPCConn) caller(_ context.Context, payload []byte) func() error {
	req := &NetRPCPayload{payload}
	return func() error {
		var res NetRPCPayload
		if err := c.c.Call("Echo.Unary", req, &res); err != nil {
			return err
		}
		return checkEcho(res.Data, payload)
	}
}

func (netRPCConn) feed(context.Context, feedRequest, func([]byte)) error { return errNoStreams }

func (netRPCConn) talk(context.Context, []byte) (func() error, error) { return nil, errNoStreams }
