package main

import (
	"context"
	"crypto/tls"
	"net"

	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcmux"
	"storj.io/drpc/drpcserver"

	"github.com/rpcnet-go/rpcnet/bench/internal/echopb"
)

// drpcGo is drpc with protobuf. A connection of it carries one call at a time.
var drpcGo = &library{
	name: "drpc", module: "storj.io/drpc",
	serve: func(c certDir) (string, error) {
		config, err := c.server()
		if err != nil {
			return "", err
		}
		l, err := tls.Listen("tcp", "127.0.0.1:0", config)
		if err != nil {
			return "", err
		}
		mux := drpcmux.New()
		if err := echopb.DRPCRegisterEcho(mux, drpcServer{}); err != nil {
			return "", err
		}
		go drpcserver.New(mux).Serve(context.Background(), l)
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
			dc := drpcconn.New(tc)
			return drpcConn{dc, tc, echopb.NewDRPCEchoClient(dc)}, nil
		}, nil
	},
	skips: func(c cell) string {
		switch {
		case c.kind == idleStream || c.streams > 1:
			return "one stream at a time on a connection"
		case c.callers > 64:
			return "one call at a time on a connection: more callers only wait"
		}
		return ""
	},
}

type drpcServer struct{}

func (drpcServer) Unary(_ context.Context, req *echopb.Payload) (*echopb.Payload, error) {
	return req, nil
}

func (drpcServer) Feed(req *echopb.FeedRequest, s echopb.DRPCEcho_FeedStream) error {
	return protoFeed(req, s.Send)
}

func (drpcServer) Talk(s echopb.DRPCEcho_TalkStream) error {
	return protoRecvSend(s.Recv, s.Send)
}

type drpcConn struct {
	dc *drpcconn.Conn
	tc net.Conn
	e  echopb.DRPCEchoClient
}

func (c drpcConn) close() { c.dc.Close() }

func (c drpcConn) caller(ctx context.Context, payload []byte) func() error {
	req := &echopb.Payload{Data: payload}
	return func() error {
		res, err := c.e.Unary(ctx, req)
		if err != nil {
			return err
		}
		return checkEcho(res.Data, payload)
	}
}

func (c drpcConn) feed(ctx context.Context, req feedRequest, f func([]byte)) error {
	s, err := c.e.Feed(ctx, protoFeedRequest(req))
	if err != nil {
		return err
	}
	defer s.Close()
	return protoRecv(s.Recv, f)
}

func (c drpcConn) talk(ctx context.Context, payload []byte) (func() error, error) {
	s, err := c.e.Talk(ctx)
	if err != nil {
		return nil, err
	}
	return protoTurn(s.Send, s.Recv, payload), nil
}
