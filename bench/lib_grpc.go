package main

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/rpcnet-go/rpcnet/bench/internal/echopb"
)

// grpcGo is grpc-go with protobuf.
var grpcGo = &library{
	name: "grpc-go", module: "google.golang.org/grpc",
	serve: func(c certDir) (string, error) {
		config, err := c.server()
		if err != nil {
			return "", err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		s := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
		echopb.RegisterEchoServer(s, grpcServer{})
		go s.Serve(l)
		return l.Addr().String(), nil
	},
	connector: func(c certDir, addr string) (connector, error) {
		config, err := c.client()
		if err != nil {
			return nil, err
		}
		return func(context.Context) (conn, error) {
			cc, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(credentials.NewTLS(config)))
			if err != nil {
				return nil, err
			}
			return grpcConn{cc, echopb.NewEchoClient(cc)}, nil
		}, nil
	},
}

type grpcServer struct {
	echopb.UnimplementedEchoServer
}

func (grpcServer) Unary(_ context.Context, req *echopb.Payload) (*echopb.Payload, error) {
	return req, nil
}

func (grpcServer) Feed(req *echopb.FeedRequest, s grpc.ServerStreamingServer[echopb.Payload]) error {
	return protoFeed(req, s.Send)
}

func (grpcServer) Talk(s grpc.BidiStreamingServer[echopb.Payload, echopb.Payload]) error {
	return protoRecvSend(s.Recv, s.Send)
}

// protoRecvSend sends back what it receives, until the clean end.
func protoRecvSend(recv func() (*echopb.Payload, error), send func(*echopb.Payload) error) error {
	for {
		m, err := recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := send(m); err != nil {
			return err
		}
	}
}

// protoFeed serves a feed of protobuf messages.
func protoFeed(req *echopb.FeedRequest, send func(*echopb.Payload) error) error {
	return feedRequest{int(req.Size), time.Duration(req.DurationNs), time.Duration(req.IntervalNs)}.
		send(func(data []byte) error { return send(&echopb.Payload{Data: data}) })
}

// protoFeedRequest is the other side of protoFeed.
func protoFeedRequest(r feedRequest) *echopb.FeedRequest {
	return &echopb.FeedRequest{Size: int64(r.size), DurationNs: int64(r.duration), IntervalNs: int64(r.interval)}
}

// protoRecv gives all messages of a feed to f.
func protoRecv(recv func() (*echopb.Payload, error), f func([]byte)) error {
	for {
		m, err := recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		f(m.Data)
	}
}

// protoTurn makes turns of a stream in both directions.
func protoTurn(send func(*echopb.Payload) error, recv func() (*echopb.Payload, error), payload []byte) func() error {
	req := &echopb.Payload{Data: payload}
	return func() error {
		if err := send(req); err != nil {
			return err
		}
		res, err := recv()
		if err != nil {
			return err
		}
		return checkEcho(res.Data, payload)
	}
}

type grpcConn struct {
	cc *grpc.ClientConn
	e  echopb.EchoClient
}

func (c grpcConn) close() { c.cc.Close() }

func (c grpcConn) caller(ctx context.Context, payload []byte) func() error {
	req := &echopb.Payload{Data: payload}
	return func() error {
		res, err := c.e.Unary(ctx, req)
		if err != nil {
			return err
		}
		return checkEcho(res.Data, payload)
	}
}

func (c grpcConn) feed(ctx context.Context, req feedRequest, f func([]byte)) error {
	s, err := c.e.Feed(ctx, protoFeedRequest(req))
	if err != nil {
		return err
	}
	return protoRecv(s.Recv, f)
}

func (c grpcConn) talk(ctx context.Context, payload []byte) (func() error, error) {
	s, err := c.e.Talk(ctx)
	if err != nil {
		return nil, err
	}
	return protoTurn(s.Send, s.Recv, payload), nil
}
