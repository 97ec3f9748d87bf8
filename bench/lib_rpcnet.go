package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/bench/internal/echo"
	"github.com/rpcnet-go/rpcnet/codegen"
)

const rpcnetModule = "github.com/rpcnet-go/rpcnet"

// rpcnetRaw is rpcnet without a contract: bytes in, bytes out.
var rpcnetRaw = &library{
	name: "rpcnet raw", module: rpcnetModule,
	serve: func(c certDir) (string, error) { return serveRPCNet(c, rawServer()) },
	connector: func(c certDir, addr string) (connector, error) {
		return rpcnetConnector(c, addr, func(conn *rpcnet.Conn) conn { return rawConn{conn} })
	},
}

// rpcnetGenerated is rpcnet with the code that rpcnet-gen writes.
var rpcnetGenerated = &library{
	name: "rpcnet generated", module: rpcnetModule,
	serve: func(c certDir) (string, error) {
		srv := rpcnet.NewServer(nil)
		echo.RegisterEcho(srv, echoServer{})
		return serveRPCNet(c, srv)
	},
	connector: func(c certDir, addr string) (connector, error) {
		return rpcnetConnector(c, addr, func(conn *rpcnet.Conn) conn {
			return generatedConn{conn, echo.NewEchoClient(conn)}
		})
	},
}

// rpcnetInto is rpcnetGenerated with a client that receives the messages of a stream
// into one of its own.
var rpcnetInto = &library{
	name: "rpcnet RecvInto", module: rpcnetModule,
	serve: rpcnetGenerated.serve,
	connector: func(c certDir, addr string) (connector, error) {
		return rpcnetConnector(c, addr, func(conn *rpcnet.Conn) conn {
			return intoConn{generatedConn{conn, echo.NewEchoClient(conn)}}
		})
	},
	skips: func(c cell) string {
		if c.kind != feed {
			return "receives streams alone"
		}
		return ""
	},
}

// rpcnetEndpoint returns an endpoint with every default on a free port.
func rpcnetEndpoint(c certDir) (*rpcnet.Endpoint, error) {
	return rpcnet.Listen("127.0.0.1:0", rpcnet.CertFiles(c.certificate(), c.key(), c.authority()), nil)
}

func serveRPCNet(c certDir, srv *rpcnet.Server) (string, error) {
	ep, err := rpcnetEndpoint(c)
	if err != nil {
		return "", err
	}
	go ep.Serve(context.Background(), srv)
	return ep.Addr().String(), nil
}

func rpcnetConnector(c certDir, addr string, wrap func(*rpcnet.Conn) conn) (connector, error) {
	ep, err := rpcnetEndpoint(c)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (conn, error) {
		conn, err := ep.Dial(ctx, addr, nil)
		if err != nil {
			return nil, err
		}
		return wrap(conn), nil
	}, nil
}

// rawServer returns the server of rpcnetRaw.
func rawServer() *rpcnet.Server {
	srv := rpcnet.NewServer(nil)
	srv.Handle("unary", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	srv.HandleStream("feed", rawFeed)
	srv.HandleStream("talk", rawTalk)
	return srv
}

func rawFeed(_ context.Context, s rpcnet.ServerStream) error {
	var in []byte
	if err := s.Recv(&in); err != nil {
		return err
	}
	if len(in) != 24 {
		return rpcnet.NewError(rpcnet.CodeInvalidArgument, "want 24 bytes")
	}
	req := feedRequest{
		size:     int(binary.LittleEndian.Uint64(in)),
		duration: time.Duration(binary.LittleEndian.Uint64(in[8:])),
		interval: time.Duration(binary.LittleEndian.Uint64(in[16:])),
	}
	var out []byte // one for all: a []byte in an interface is an allocation, a *[]byte is not
	return req.send(func(data []byte) error {
		out = data
		return s.Send(&out)
	})
}

func rawTalk(_ context.Context, s rpcnet.ServerStream) error {
	var in []byte
	for {
		if err := s.Recv(&in); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.Send(&in); err != nil {
			return err
		}
	}
}

var (
	rawFeedSpec = &rpcnet.Spec{Procedure: "feed", Shape: codegen.ShapeServerStream}
	rawTalkSpec = &rpcnet.Spec{Procedure: "talk", Shape: codegen.ShapeBidi}
)

// A rawConn is a conn of rpcnetRaw.
type rawConn struct{ c *rpcnet.Conn }

func (c rawConn) close() { c.c.Close() }

func (c rawConn) caller(ctx context.Context, payload []byte) func() error {
	return func() error {
		out, err := rpcnet.CallRaw(ctx, c.c, "unary", payload)
		if err != nil {
			return err
		}
		return checkEcho(out, payload)
	}
}

func (c rawConn) feed(ctx context.Context, req feedRequest, f func([]byte)) error {
	s, err := c.c.NewStream(ctx, rawFeedSpec)
	if err != nil {
		return err
	}
	defer s.Close()
	b := binary.LittleEndian.AppendUint64(nil, uint64(req.size))
	b = binary.LittleEndian.AppendUint64(b, uint64(req.duration))
	b = binary.LittleEndian.AppendUint64(b, uint64(req.interval))
	if err := errors.Join(s.Send(b), s.CloseSend()); err != nil {
		return err
	}
	var in []byte
	for {
		if err := s.Recv(&in); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		f(in)
	}
}

func (c rawConn) talk(ctx context.Context, payload []byte) (func() error, error) {
	s, err := c.c.NewStream(ctx, rawTalkSpec)
	if err != nil {
		return nil, err
	}
	var in []byte
	return func() error {
		if err := s.Send(&payload); err != nil {
			return err
		}
		if err := s.Recv(&in); err != nil {
			return err
		}
		return checkEcho(in, payload)
	}, nil
}

// echoServer is the server of rpcnetGenerated.
type echoServer struct{}

func (echoServer) Unary(_ context.Context, req *echo.Payload) (*echo.Payload, error) {
	return req, nil
}

func (echoServer) Feed(_ context.Context, req *echo.FeedRequest) iter.Seq2[*echo.Payload, error] {
	return func(yield func(*echo.Payload, error) bool) {
		r := feedRequest{int(req.Size), req.Duration, req.Interval}
		out := new(echo.Payload) // one for all: it is encoded when yield returns
		r.send(func(data []byte) error {
			out.Data = data
			if !yield(out, nil) {
				return context.Canceled
			}
			return nil
		})
	}
}

func (echoServer) Talk(_ context.Context, in iter.Seq2[*echo.Payload, error]) iter.Seq2[*echo.Payload, error] {
	return in
}

// A generatedConn is a conn of rpcnetGenerated.
type generatedConn struct {
	c *rpcnet.Conn
	e *echo.EchoClient
}

func (c generatedConn) close() { c.c.Close() }

func (c generatedConn) caller(ctx context.Context, payload []byte) func() error {
	req := &echo.Payload{Data: payload}
	return func() error {
		res, err := c.e.Unary(ctx, req)
		if err != nil {
			return err
		}
		return checkEcho(res.Data, payload)
	}
}

func (c generatedConn) feed(ctx context.Context, req feedRequest, f func([]byte)) error {
	for m, err := range c.e.Feed(ctx, req.message()) {
		if err != nil {
			return err
		}
		f(m.Data)
	}
	return nil
}

func (c generatedConn) talk(ctx context.Context, payload []byte) (func() error, error) {
	s, err := c.e.TalkStream(ctx)
	if err != nil {
		return nil, err
	}
	req := &echo.Payload{Data: payload}
	return func() error {
		if err := s.Send(req); err != nil {
			return err
		}
		res, err := s.Recv()
		if err != nil {
			return err
		}
		return checkEcho(res.Data, payload)
	}, nil
}

// An intoConn is a conn of rpcnetInto.
type intoConn struct{ generatedConn }

func (c intoConn) feed(ctx context.Context, req feedRequest, f func([]byte)) error {
	s, err := c.e.FeedStream(ctx, req.message())
	if err != nil {
		return err
	}
	defer s.Close()
	var m echo.Payload
	for {
		if err := s.RecvInto(&m); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		f(m.Data)
	}
}

// message returns the request of generated code.
func (r feedRequest) message() *echo.FeedRequest {
	return &echo.FeedRequest{Size: int64(r.size), Duration: r.duration, Interval: r.interval}
}

// checkEcho looks at the ends: a comparison of all would be part of what is
// measured.
func checkEcho(got, want []byte) error {
	if len(got) != len(want) || got[0] != want[0] || got[len(got)-1] != want[len(want)-1] {
		return fmt.Errorf("wrong echo of %d bytes: got %d", len(want), len(got))
	}
	return nil
}
