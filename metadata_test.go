package rpcnet_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/internal/wire"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// readFrame returns the next frame of type want, and skips others.
func readFrame(c net.Conn, want wire.Type) (wire.Header, []byte, error) {
	for {
		var b [wire.HeaderLen]byte
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return 0, nil, err
		}
		h := wire.ParseHeader(b[:])
		p := make([]byte, h.Len())
		if _, err := io.ReadFull(c, p); err != nil {
			return 0, nil, err
		}
		if h.Type() == want {
			return h, p, nil
		}
	}
}

// badMetadata is metadata, encoded, that no honest peer sends.
func badMetadata() map[string][]byte {
	one := func(k, v string) []byte { return wire.AppendMetadata(nil, map[string][]string{k: {v}}) }
	return map[string][]byte{
		"cut short":        one("key", "value")[:6],
		"a length to fear": {3, 'k', 'e', 'y', 255, 255, 255, 255, 255, 255, 255, 255, 255, 1},
		"upper case":       one("Key", "value"),
		"empty key":        one("", "value"),
		"line break":       one("key\r\n", "value"),
		"not UTF-8":        one("key", "\xff"),
		"over 16 KiB":      one("key", strings.Repeat("x", 16<<10+1)),
		"twice":            append(one("key", "a"), one("key", "b")...),
	}
}

// What a caller sends as metadata is checked before anybody sees it.
func TestMalformedMetadataOfARequestIsRefused(t *testing.T) {
	t.Parallel()
	node := newParty(t, testkit.NewCA(t), credentials.Leaf{})
	ep, err := rpcnet.Listen("127.0.0.1:0", node.creds, &rpcnet.EndpointConfig{Logger: rpctest.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	var seen atomic.Int64
	srv := rpcnet.NewServer(&rpcnet.ServerConfig{Interceptors: []func(rpcnet.ServerFunc) rpcnet.ServerFunc{func(next rpcnet.ServerFunc) rpcnet.ServerFunc {
		return func(ctx context.Context, spec *rpcnet.Spec, st rpcnet.ServerStream) error {
			seen.Add(1)
			return next(ctx, spec, st)
		}
	}}})
	srv.Handle("unary", func(ctx context.Context, _ []byte) ([]byte, error) {
		return []byte(rpcnet.ServerCallFrom(ctx).Header().Get("key-bin")), nil
	})
	srv.HandleStream("stream", func(context.Context, rpcnet.ServerStream) error { return nil })
	serving(ep, srv)
	c, err := dialTLS(t, ep.Addr().String(), node.source.ClientConfig("127.0.0.1", []string{"rpcnet/1"}))
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	c.Write(greeting(wire.DefaultStreamWindow))
	numbers := map[string]uint32{}
	call := func(procedure string, metadata []byte) (s wire.Status) {
		t.Helper()
		o := wire.Open{Number: numbers[procedure], Metadata: metadata, HasMessage: true}
		if o.Number == 0 {
			o.Number, o.Name = uint32(len(numbers)+1), []byte(procedure)
			numbers[procedure] = o.Number
		}
		c.Write(frame(wire.TypeOpen, wire.FlagEnd, 1, o.Append(nil)))
		_, p, err := readFrame(c, wire.TypeStatus)
		if err == nil {
			err = s.Parse(p)
		}
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for !servesYet(call("unary", nil)) {
		time.Sleep(time.Millisecond)
	}
	seen.Store(0)
	for name, b := range badMetadata() {
		for _, procedure := range []string{"unary", "stream"} {
			s := call(procedure, b)
			if rpcnet.Code(s.Code) != rpcnet.CodeInvalidArgument || !strings.Contains(s.Message, "metadata") || s.Unprocessed {
				t.Errorf("%s with metadata %s: %+v", procedure, name, s)
			}
		}
	}
	if n := seen.Load(); n != 0 {
		t.Errorf("%d calls with malformed metadata were served", n)
	}
	for _, procedure := range []string{"unary", "stream"} { // the session is as good as before
		if s := call(procedure, wire.AppendMetadata(nil, rpcnet.Header{"key-bin": {"\xff"}})); s.Code != 0 {
			t.Errorf("%s with bytes under a key for bytes: %+v", procedure, s)
		}
	}
}

func servesYet(s wire.Status) bool { return rpcnet.Code(s.Code) != rpcnet.CodeUnavailable }

// serveByHand accepts connections, greets, and answers each OPEN with what
// answer returns; if that is nil it reads nothing.
func serveByHand(t *testing.T, node party, window uint64, answer func(id uint32) []byte) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", node.source.ServerConfig([]string{"rpcnet/1"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.(*tls.Conn).NetConn().Close() })
			if answer == nil { // it does not read
				c.(*tls.Conn).NetConn().(*net.TCPConn).SetReadBuffer(4096)
			}
			c.Write(greeting(window))
			go func() {
				for answer != nil {
					h, _, err := readFrame(c, wire.TypeOpen)
					if err != nil {
						return
					}
					c.Write(answer(h.ID()))
				}
			}()
		}
	}()
	return l.Addr().String()
}

// What a server sends as metadata is checked where its caller would see it.
func TestMalformedMetadataOfAResponseIsAnError(t *testing.T) {
	t.Parallel()
	node := newParty(t, testkit.NewCA(t), credentials.Leaf{})
	for name, bad := range badMetadata() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serveByHand(t, node, wire.DefaultStreamWindow, func(id uint32) []byte {
				b := frame(wire.TypeHeader, 0, id, bad)
				b = append(b, frame(wire.TypeData, 0, id, []byte("x"))...)
				return append(b, frame(wire.TypeStatus, 0, id, nil)...)
			})
			checkResponses(t, addr, node)
		})
	}
	for name, trailer := range map[string]rpcnet.Header{
		"trailer with upper case": {"Key": {"v"}}, "trailer over 16 KiB": {"key": {strings.Repeat("x", 16<<10)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serveByHand(t, node, wire.DefaultStreamWindow, func(id uint32) []byte {
				s := wire.Status{Trailer: trailer}
				return append(frame(wire.TypeData, 0, id, []byte("x")), frame(wire.TypeStatus, 0, id, s.Append(nil))...)
			})
			checkResponses(t, addr, node)
		})
	}
}

// checkResponses expects calls with a record to fail, and others not to.
func checkResponses(t *testing.T, addr string, node party) {
	t.Helper()
	conn, err := rpcnet.Dial(within(t), addr, node.creds, &rpcnet.DialConfig{Logger: rpctest.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := rpcnet.CallRaw(within(t), conn, "unary", nil); err != nil {
		t.Errorf("nobody looks at the metadata: %v", err)
	}
	ctx, call := rpcnet.NewCall(within(t), rpcnet.CallOptions{})
	_, err = rpcnet.CallRaw(ctx, conn, "unary", nil)
	wantCode(t, err, rpcnet.CodeInternal)
	if len(call.Header())+len(call.Trailer()) > 0 {
		t.Errorf("the record has %v, %v", call.Header(), call.Trailer())
	}
	ctx, call = rpcnet.NewCall(within(t), rpcnet.CallOptions{})
	st := open(t, ctx, conn, "stream")
	for err = nil; err == nil; {
		err = st.Recv(new([]byte))
	}
	wantCode(t, err, rpcnet.CodeInternal)
	if len(call.Header())+len(call.Trailer()) > 0 {
		t.Errorf("the record has %v, %v", call.Header(), call.Trailer())
	}
}

// FuzzMetadata: what a peer sends as metadata is refused, or keeps every rule of
// a Header and comes through unchanged.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte{1, 'a', 1, 'b'})
	f.Add([]byte{1, 'A', 1, 'b'})
	f.Add([]byte{5, 'a', '-', 'b', 'i', 'n', 1, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := rpcnet.ParseHeader(b)
		if err != nil {
			return
		}
		if err := h.Validate(); err != nil {
			t.Errorf("taken, and then not valid: %v", err)
		}
		again, err := rpcnet.ParseHeader(wire.AppendMetadata(nil, h))
		if err != nil || !reflect.DeepEqual(h, again) {
			t.Errorf("%v comes back as %v, %v", h, again, err)
		}
	})
}
