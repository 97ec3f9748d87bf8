package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
)

// rawTLS is the floor: a length and bytes on a TLS connection, one at a time,
// read and written by the goroutine that wants them.
var rawTLS = &library{
	name: "raw TLS",
	serve: func(c certDir) (string, error) {
		config, err := c.server()
		if err != nil {
			return "", err
		}
		l, err := tls.Listen("tcp", "127.0.0.1:0", config)
		if err != nil {
			return "", err
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go rawEcho(c)
			}
		}()
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
			return &rawTLSConn{c: tc, r: bufio.NewReader(tc)}, nil
		}, nil
	},
	skips: func(c cell) string {
		switch {
		case c.streams > 0:
			return "no streams"
		case c.callers > max(1, c.conns):
			return "one call at a time"
		}
		return ""
	},
}

var errNoStreams = errors.New("there are no streams")

// rawEcho serves one connection.
func rawEcho(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	var b []byte
	for {
		var err error
		if b, err = readFrame(r, b); err != nil {
			return
		}
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// readFrame reads a length and as many bytes, and returns both in b.
func readFrame(r *bufio.Reader, b []byte) ([]byte, error) {
	b = append(b[:0], 0, 0, 0, 0)
	if _, err := io.ReadFull(r, b); err != nil {
		return b, err
	}
	n := 4 + int(binary.LittleEndian.Uint32(b))
	if cap(b) < n {
		b = append(make([]byte, 0, n), b...)
	}
	b = b[:n]
	_, err := io.ReadFull(r, b[4:])
	return b, err
}

type rawTLSConn struct {
	c net.Conn
	r *bufio.Reader
	w []byte
	b []byte
}

func (c *rawTLSConn) close() { c.c.Close() }

func (c *rawTLSConn) caller(_ context.Context, payload []byte) func() error {
	return func() error {
		c.w = binary.LittleEndian.AppendUint32(c.w[:0], uint32(len(payload)))
		c.w = append(c.w, payload...)
		if _, err := c.c.Write(c.w); err != nil {
			return err
		}
		var err error
		if c.b, err = readFrame(c.r, c.b); err != nil {
			return err
		}
		return checkEcho(c.b[4:], payload)
	}
}

func (*rawTLSConn) feed(context.Context, feedRequest, func([]byte)) error { return errNoStreams }

func (*rawTLSConn) talk(context.Context, []byte) (func() error, error) { return nil, errNoStreams }
