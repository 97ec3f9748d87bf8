package main

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	natsSubject = "echo"
	// natsPending is how many bytes the broker keeps for a connection before it
	// closes it. The default, 64 MiB, is what 1000 callers of 64 KiB reach.
	natsPending = 256 << 20
	// natsWait is how long the broker has to start, and a handshake to end.
	natsWait = 10 * time.Second
)

// natsGo is request and reply over NATS. The broker is in the server's process,
// and so is the responder, which needs no network and no TLS to reach it: a
// request crosses the network as often as with the other libraries.
var natsGo = &library{
	name: "nats", module: "github.com/nats-io/nats.go",
	serve: func(c certDir) (string, error) {
		config, err := c.server()
		if err != nil {
			return "", err
		}
		broker, err := server.NewServer(&server.Options{
			Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
			TLSConfig: config, TLSVerify: true, TLSTimeout: natsWait.Seconds(), MaxPending: natsPending,
		})
		if err != nil {
			return "", err
		}
		broker.Start()
		if !broker.ReadyForConnections(natsWait) {
			return "", errors.New("the NATS broker does not start")
		}
		if err := natsRespond(broker); err != nil {
			return "", err
		}
		return broker.Addr().(*net.TCPAddr).String(), nil
	},
	connector: func(c certDir, addr string) (connector, error) {
		config, err := c.client()
		if err != nil {
			return nil, err
		}
		return func(context.Context) (conn, error) {
			nc, err := nats.Connect("tls://"+addr, nats.Secure(config), nats.Timeout(natsWait), nats.NoReconnect())
			if err != nil {
				return nil, err
			}
			return natsConn{nc}, nil
		}, nil
	},
	skips: func(c cell) string {
		if c.streams > 0 {
			return "no streams"
		}
		return ""
	},
}

// natsRespond sends back each request, for as long as the process lives.
func natsRespond(broker *server.Server) error {
	nc, err := nats.Connect("", nats.InProcessServer(broker))
	if err != nil {
		return err
	}
	sub, err := nc.Subscribe(natsSubject, func(m *nats.Msg) { m.Respond(m.Data) })
	if err != nil {
		return err
	}
	// Without a limit: a message above it is dropped, and its caller waits.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return err
	}
	return nc.Flush() // the broker knows the subscription
}

type natsConn struct{ nc *nats.Conn }

func (c natsConn) close() { c.nc.Close() }

func (c natsConn) caller(ctx context.Context, payload []byte) func() error {
	return func() error {
		m, err := c.nc.RequestWithContext(ctx, natsSubject, payload)
		if err != nil {
			return err
		}
		return checkEcho(m.Data, payload)
	}
}

func (natsConn) feed(context.Context, feedRequest, func([]byte)) error { return errNoStreams }

func (natsConn) talk(context.Context, []byte) (func() error, error) { return nil, errNoStreams }
