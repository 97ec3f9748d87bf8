package main

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"

	"connectrpc.com/connect"

	"github.com/rpcnet-go/rpcnet/bench/internal/echopb"
	"github.com/rpcnet-go/rpcnet/bench/internal/echopb/echopbconnect"
)

// connectGo is connect-go with protobuf over HTTP/2 of the standard library.
// Its compression of everything is switched off: it would be all there is to
// see.
var connectGo = &library{
	name: "connect-go", module: "connectrpc.com/connect",
	serve: func(c certDir) (string, error) {
		config, err := c.server()
		if err != nil {
			return "", err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		mux := http.NewServeMux()
		mux.Handle(echopbconnect.NewEchoHandler(connectServer{}))
		s := &http.Server{Handler: mux, TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0)}
		go s.ServeTLS(l, "", "")
		return l.Addr().String(), nil
	},
	connector: func(c certDir, addr string) (connector, error) {
		config, err := c.client()
		if err != nil {
			return nil, err
		}
		return func(context.Context) (conn, error) {
			t := &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true}
			e := echopbconnect.NewEchoClient(&http.Client{Transport: t}, "https://"+addr, connect.WithAcceptCompression("gzip", nil, nil))
			return connectConn{t, e}, nil
		}, nil
	},
	skips: func(c cell) string {
		switch {
		case c.callers > 64:
			return "too slow for the time there is"
		case c.streams > 250:
			return "250 streams at most on a connection"
		}
		return ""
	},
}

type connectServer struct{}

func (connectServer) Unary(_ context.Context, req *connect.Request[echopb.Payload]) (*connect.Response[echopb.Payload], error) {
	return connect.NewResponse(req.Msg), nil
}

func (connectServer) Feed(_ context.Context, req *connect.Request[echopb.FeedRequest], s *connect.ServerStream[echopb.Payload]) error {
	return protoFeed(req.Msg, s.Send)
}

func (connectServer) Talk(_ context.Context, s *connect.BidiStream[echopb.Payload, echopb.Payload]) error {
	return protoRecvSend(s.Receive, s.Send)
}

type connectConn struct {
	t *http.Transport
	e echopbconnect.EchoClient
}

func (c connectConn) close() { c.t.CloseIdleConnections() }

func (c connectConn) caller(ctx context.Context, payload []byte) func() error {
	msg := &echopb.Payload{Data: payload}
	return func() error {
		res, err := c.e.Unary(ctx, connect.NewRequest(msg))
		if err != nil {
			return err
		}
		return checkEcho(res.Msg.Data, payload)
	}
}

func (c connectConn) feed(ctx context.Context, req feedRequest, f func([]byte)) error {
	s, err := c.e.Feed(ctx, connect.NewRequest(protoFeedRequest(req)))
	if err != nil {
		return err
	}
	defer s.Close()
	for s.Receive() {
		f(s.Msg().Data)
	}
	return s.Err()
}

func (c connectConn) talk(ctx context.Context, payload []byte) (func() error, error) {
	s := c.e.Talk(ctx)
	return protoTurn(s.Send, s.Receive, payload), nil
}
