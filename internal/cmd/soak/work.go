package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/contexts"
)

// newServer returns a server with an echo, a slow echo, an echo of a stream, a stream
// of numbered messages, and a sum of the lengths of messages.
func newServer() *rpcnet.Server {
	srv := rpcnet.NewServer(nil)
	srv.Handle("echo", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	srv.Handle("slow", func(ctx context.Context, in []byte) ([]byte, error) {
		if !contexts.Sleep(ctx, rand.N(20*time.Millisecond)) {
			return nil, ctx.Err()
		}
		return in, nil
	})
	srv.HandleStream("talk", func(_ context.Context, st rpcnet.ServerStream) error {
		var m []byte
		for {
			if err := st.Recv(&m); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := st.Send(m); err != nil {
				return err
			}
		}
	})
	srv.HandleStream("count", func(_ context.Context, st rpcnet.ServerStream) error {
		var m []byte
		if err := st.Recv(&m); err != nil {
			return err
		}
		for i := range binary.LittleEndian.Uint32(m) {
			if err := st.Send(numbered(i)); err != nil {
				return err
			}
		}
		return nil
	})
	srv.HandleStream("sum", func(_ context.Context, st rpcnet.ServerStream) error {
		var m []byte
		var sum uint64
		for {
			err := st.Recv(&m)
			if err == io.EOF {
				return st.Send(binary.LittleEndian.AppendUint64(nil, sum))
			}
			if err != nil {
				return err
			}
			sum += uint64(len(m))
		}
	})
	return srv
}

// numbered returns message i of a stream. Its length and bytes follow from i.
func numbered(i uint32) []byte {
	return append(bytes.Repeat([]byte{byte(i)}, int(i*i%997)), byte(i), byte(i>>8))
}

// randomMessage returns a message that is mostly small and sometimes larger than
// every window.
func randomMessage() []byte {
	n := rand.N(200)
	switch rand.N(100) {
	case 0, 1, 2, 3, 4:
		n = rand.N(50_000)
	case 5:
		n = rand.N(2_000_000)
	}
	return bytes.Repeat([]byte{byte(rand.Uint32()), byte(n), byte(n >> 8)}, n/3+1)
}

// conn returns one of the two connections at random.
func (s *soak) conn() *rpcnet.Conn {
	if rand.N(2) == 0 {
		return s.direct
	}
	return s.through
}

// patient returns a context with a deadline that a call reaches only if something
// is wrong. Three of four calls wait for the server. The others fail while it is
// away, and pause first so that they do not spin.
func patient(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	if rand.N(4) > 0 {
		ctx, _ = rpcnet.NewCall(ctx, rpcnet.CallOptions{WaitForReady: true})
	} else {
		contexts.Sleep(ctx, 5*time.Millisecond)
	}
	return ctx, cancel
}

// work returns what callers do again and again, by name.
func (s *soak) work() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"unary": s.unary, "serverstream": s.serverStream, "clientstream": s.clientStream, "bidi": s.bidi, "cancel": s.cancel, "abandon": s.abandon, "dial": s.dial,
	}
}

// echo makes a unary call and compares the answer with the request.
func echo(ctx context.Context, t rpcnet.Transport, procedure string) error {
	in := randomMessage()
	out, err := rpcnet.CallRaw(ctx, t, procedure, in)
	if err == nil && !bytes.Equal(in, out) {
		return wrongf("%d bytes came back as %d others", len(in), len(out))
	}
	return err
}

// unary makes an echo.
func (s *soak) unary(ctx context.Context) error {
	ctx, cancel := patient(ctx)
	defer cancel()
	return echo(ctx, s.conn(), "echo")
}

// open starts a stream of bytes on one of the connections.
func (s *soak) open(ctx context.Context, procedure string, shape codegen.Shape) (rpcnet.ClientStream, error) {
	return s.conn().NewStream(ctx, &rpcnet.Spec{Procedure: procedure, Shape: shape})
}

// serverStream receives a stream and checks that each message comes once and in order.
func (s *soak) serverStream(ctx context.Context) error {
	ctx, cancel := patient(ctx)
	defer cancel()
	st, err := s.open(ctx, "count", codegen.ShapeServerStream)
	if err != nil {
		return err
	}
	defer st.Close()
	n := uint32(rand.N(500))
	if err := st.Send(binary.LittleEndian.AppendUint32(nil, n)); err != nil && err != io.EOF {
		return err
	}
	var m []byte
	for i := uint32(0); ; i++ {
		switch err := st.Recv(&m); {
		case err == io.EOF && i != n:
			return wrongf("a clean end after %d of %d messages", i, n)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case !bytes.Equal(m, numbered(i)):
			return wrongf("message %d has %d bytes", i, len(m))
		}
	}
}

// clientStream sends a stream and checks the sum that comes back.
func (s *soak) clientStream(ctx context.Context) error {
	ctx, cancel := patient(ctx)
	defer cancel()
	st, err := s.open(ctx, "sum", codegen.ShapeBidi)
	if err != nil {
		return err
	}
	defer st.Close()
	var sum uint64
	for range rand.N(50) {
		m := randomMessage()
		sum += uint64(len(m))
		if err := st.Send(m); err == io.EOF {
			break // Recv has the reason
		} else if err != nil {
			return err
		}
	}
	if err := st.CloseSend(); err != nil && err != io.EOF {
		return err
	}
	var m []byte
	if err := st.Recv(&m); err == io.EOF {
		return wrongf("a clean end without the sum")
	} else if err != nil {
		return err
	}
	if got := binary.LittleEndian.Uint64(m); got != sum {
		return wrongf("a sum of %d, want %d", got, sum)
	}
	if err := st.Recv(&m); err == nil {
		return wrongf("a second sum")
	} else if err != io.EOF { // cut between the sum and the end
		return err
	}
	return nil
}

// bidi sends and receives at the same time.
func (s *soak) bidi(ctx context.Context) error {
	ctx, cancel := patient(ctx)
	defer cancel()
	st, err := s.open(ctx, "talk", codegen.ShapeBidi)
	if err != nil {
		return err
	}
	defer st.Close()
	n := uint32(rand.N(300))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range n {
			if st.Send(numbered(i)) != nil {
				return
			}
		}
		st.CloseSend()
	}()
	defer func() { st.Close(); <-sent }()
	var m []byte
	for i := uint32(0); ; i++ {
		switch err := st.Recv(&m); {
		case err == io.EOF && i != n:
			return wrongf("a clean end after %d of %d messages", i, n)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case !bytes.Equal(m, numbered(i)):
			return wrongf("message %d has %d bytes", i, len(m))
		}
	}
}

// cancel makes a call whose context ends at a random moment.
func (s *soak) cancel(ctx context.Context) error {
	var cancel context.CancelFunc
	if rand.N(2) == 0 {
		ctx, cancel = context.WithTimeout(ctx, rand.N(30*time.Millisecond))
	} else {
		ctx, cancel = context.WithCancel(ctx)
		t := time.AfterFunc(rand.N(30*time.Millisecond), cancel)
		defer t.Stop()
	}
	defer cancel()
	if rand.N(2) == 0 {
		ctx, _ = rpcnet.NewCall(ctx, rpcnet.CallOptions{WaitForReady: true})
	}
	err := echo(ctx, s.conn(), "slow")
	if rpcnet.CodeOf(err) == rpcnet.CodeUnavailable {
		contexts.Sleep(ctx, 5*time.Millisecond)
	}
	return err
}

// abandon closes a stream after a random number of messages.
func (s *soak) abandon(ctx context.Context) error {
	ctx, cancel := patient(ctx)
	defer cancel()
	st, err := s.open(ctx, "talk", codegen.ShapeBidi)
	if err != nil {
		return err
	}
	defer st.Close()
	for range rand.N(20) {
		if err := st.Send(randomMessage()); err != nil {
			return nil
		}
	}
	for range rand.N(3) {
		if st.Recv(new([]byte)) != nil {
			return nil
		}
	}
	return nil
}

// dial makes calls on a new connection and closes it.
func (s *soak) dial(ctx context.Context) error {
	ctx, cancel := patient(ctx)
	defer cancel()
	addr := s.addr
	if rand.N(2) == 0 {
		addr = s.proxy.Addr()
	}
	conn, err := rpcnet.Dial(ctx, addr, s.creds, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	for range rand.N(10) {
		if err := echo(ctx, conn, "echo"); err != nil {
			return err
		}
	}
	return nil
}
