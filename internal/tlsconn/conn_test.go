package tlsconn_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/tlsconn"
)

var alpn = []string{"rpcnet/1"}

// source returns the credentials of a node that accepts itself.
func source(t testing.TB) *credentials.Source {
	t.Helper()
	ca, err := credentials.NewDevCA()
	if err != nil {
		t.Fatal(err)
	}
	b, err := ca.Issue(credentials.Leaf{})
	if err != nil {
		t.Fatal(err)
	}
	src, err := credentials.NewSource(b, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

// conns returns the two ends of a connection over loopback TCP.
func conns(t testing.TB) (server, client *tlsconn.Conn) {
	t.Helper()
	src := source(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			server, err = tlsconn.Accept(context.Background(), c, src, credentials.Accept{ALPN: alpn})
		}
		accepted <- err
	}()
	client, err = tlsconn.Dial(context.Background(), l.Addr().String(), src, credentials.Want{Names: []string{"127.0.0.1"}}, alpn)
	if err := errors.Join(err, <-accepted); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close(); client.Close() })
	return server, client
}

func TestConnCarriesWritesOfEverySizeInOrder(t *testing.T) {
	t.Parallel()
	server, client := conns(t)
	var want []byte
	sizes := []int{1, 0, 100, 16<<10 - 1, 16 << 10, 16<<10 + 1, 40_000, 128 << 10, 300_000, 1, 1 << 20}
	for i, n := range sizes {
		want = append(want, bytes.Repeat([]byte{byte(i + 1)}, n)...)
	}
	go func() {
		rest := want
		for _, n := range sizes {
			if _, err := server.Write(rest[:n]); err != nil {
				t.Error(err)
			}
			rest = rest[n:]
		}
	}()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("other bytes, %v", err)
	}
}

// WriteSome never waits, and what it leaves goes out before anything else.
func TestConnWriteSomeDoesNotWait(t *testing.T) {
	t.Parallel()
	server, client := conns(t)
	var want []byte
	for i := range 10_000 { // until the sockets are full
		b := bytes.Repeat([]byte{byte(i)}, []int{1, 100, 10_000, 16 << 10, 50_000, 300_000}[i%6])
		want = append(want, b...)
		at := len(b) / 3
		done, err := server.WriteSome(b[:at], b[at:])
		if err != nil {
			t.Fatal(err)
		}
		if !done {
			break
		}
	}
	read := make(chan error)
	got := make([]byte, len(want)+4)
	go func() { _, err := io.ReadFull(client, got); read <- err }()
	if err := server.Flush(); err != nil {
		t.Error(err)
	}
	if done, err := server.WriteSome([]byte("last"), nil); !done || err != nil {
		t.Errorf("done %t, %v", done, err)
	}
	if err := <-read; err != nil || !bytes.Equal(got, append(want, "last"...)) {
		t.Errorf("other bytes, %v", err)
	}
	client.Close()
	for range 1000 { // a reset takes its time
		if _, err := server.WriteSome(make([]byte, 1000), nil); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("no error of a closed connection")
}

// A connection without a socket of its own is written by Flush.
func TestConnWriteSomeWithoutASocketLeavesAll(t *testing.T) {
	t.Parallel()
	src := source(t)
	near, far := net.Pipe()
	accepted := make(chan *tlsconn.Conn, 1)
	go func() {
		conn, err := tlsconn.Accept(context.Background(), far, src, credentials.Accept{ALPN: alpn})
		if err != nil {
			t.Error(err)
		}
		accepted <- conn
	}()
	client := tls.Client(near, src.ClientConfig("localhost", alpn))
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	server := <-accepted
	if server == nil {
		t.FailNow()
	}
	defer server.Close()
	defer near.Close()
	if done, err := server.WriteSome([]byte("hello"), nil); done || err != nil {
		t.Fatalf("done %t, %v", done, err)
	}
	flushed := make(chan error)
	go func() { flushed <- server.Flush() }()
	b := make([]byte, 5)
	if _, err := io.ReadFull(client, b); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
	if err := <-flushed; err != nil {
		t.Error(err)
	}
}

// The read deadline interrupts a read and loses nothing.
func TestConnReadsGoOnAfterAnInterruption(t *testing.T) {
	t.Parallel()
	server, client := conns(t)
	read := make(chan error, 1)
	b := make([]byte, 10)
	go func() { _, err := io.ReadFull(client, b); read <- err }()
	client.SetReadDeadline(time.Unix(1, 0))
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	client.SetReadDeadline(time.Time{})
	if _, err := server.Write([]byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(client, b); err != nil || string(b) != "0123456789" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestConnCloseEndsReadsAndWrites(t *testing.T) {
	t.Parallel()
	server, client := conns(t)
	var both sync.WaitGroup
	both.Go(func() {
		if _, err := io.Copy(io.Discard, server); err == nil {
			t.Log("the other side saw an end") // without close_notify: an error or an end
		}
	})
	both.Go(func() {
		for {
			if _, err := client.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	})
	client.Close()
	both.Wait()
}

// crypto/tls answers a broken record from the reading goroutine, while another
// writes.
func TestConnAlertWhileWriting(t *testing.T) {
	t.Parallel()
	for range 5 {
		src := source(t)
		near, far := net.Pipe()
		accepted := make(chan *tlsconn.Conn, 1)
		go func() {
			conn, err := tlsconn.Accept(context.Background(), far, src, credentials.Accept{ALPN: alpn})
			if err != nil {
				t.Error(err)
			}
			accepted <- conn
		}()
		client := tls.Client(near, src.ClientConfig("localhost", alpn))
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		server := <-accepted
		var all sync.WaitGroup
		all.Go(func() { io.Copy(io.Discard, near) })
		all.Go(func() {
			for {
				if _, err := server.Write(make([]byte, 200_000)); err != nil {
					return
				}
			}
		})
		all.Go(func() { io.Copy(io.Discard, server); server.Close() })
		near.Write(append([]byte{23, 3, 3, 0, 64}, make([]byte, 64)...))
		all.Wait()
		near.Close()
	}
}

func TestDialReports(t *testing.T) {
	t.Parallel()
	src := source(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	// It listens, and nobody answers.
	if _, err := tlsconn.Dial(ctx, addr, src, credentials.Want{Names: []string{"127.0.0.1"}}, alpn); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a mute server: %v", err)
	}
	l.Close()
	if _, err := tlsconn.Dial(context.Background(), addr, src, credentials.Want{Names: []string{"127.0.0.1"}}, alpn); err == nil {
		t.Error("a connection to nobody")
	}
}

func TestAcceptOwnsTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := source(t)
		near, far := net.Pipe()
		begin := time.Now()
		if _, err := tlsconn.Accept(context.Background(), far, src, credentials.Accept{ALPN: alpn}); err == nil {
			t.Error("a conn with a peer that says nothing")
		}
		if d := time.Since(begin); d != tlsconn.HandshakeTimeout {
			t.Errorf("gave up after %v, want %v", d, tlsconn.HandshakeTimeout)
		}
		if _, err := near.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is still open")
		}
		near.Close()
	})
}

func TestBindTakesOnePortForBoth(t *testing.T) {
	t.Parallel()
	l, u, err := tlsconn.Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	defer u.Close()
	tcp, udp := l.Addr().(*net.TCPAddr), u.LocalAddr().(*net.UDPAddr)
	if tcp.Port != udp.Port || !tcp.IP.Equal(udp.IP) {
		t.Errorf("TCP %v, UDP %v", tcp, udp)
	}
	if _, _, err := tlsconn.Bind(l.Addr().String()); err == nil {
		t.Error("the port is taken and bound again")
	}
	// UDP alone is taken: TCP is given back.
	l.Close()
	if _, _, err := tlsconn.Bind(l.Addr().String()); err == nil || !strings.Contains(err.Error(), "udp") {
		t.Errorf("%v", err)
	}
	if again, err := net.Listen("tcp", l.Addr().String()); err != nil {
		t.Errorf("TCP was not given back: %v", err)
	} else {
		again.Close()
	}
	if _, _, err := tlsconn.Bind("no such host.invalid:0"); err == nil {
		t.Error("a bind to nowhere")
	}
}

func TestUnmap(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"[::ffff:127.0.0.1]:5": "127.0.0.1:5", "127.0.0.1:5": "127.0.0.1:5", "[::1]:5": "[::1]:5"} {
		if got := tlsconn.Unmap(netip.MustParseAddrPort(in)); got.String() != want {
			t.Errorf("Unmap(%s) = %v, want %s", in, got, want)
		}
	}
}

// A write that waits counts as far as it has come, and what the peer's system has
// taken counts as acknowledged, not what waits here.
func TestConnCountsWhatMoves(t *testing.T) {
	t.Parallel()
	server, client := conns(t)
	taken, acked := server.Sent()
	if taken == 0 || acked > taken || client.Received() == 0 {
		t.Errorf("after the handshake: taken %d, acknowledged %d, received %d", taken, acked, client.Received())
	}
	const size = 32 << 20 // more than the two systems buffer
	ended := make(chan error, 1)
	go func() {
		_, err := server.Write(make([]byte, size))
		ended <- err
	}()
	for first := taken; taken < first+200_000; { // nobody reads, and the write has not ended
		taken, _ = server.Sent()
	}
	seen := taken
	buf := make([]byte, 1<<20)
	for read := 0; read < size; {
		n, err := client.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		read += n
		taken, acked = server.Sent()
		if acked > taken || taken < seen {
			t.Fatalf("taken %d, acknowledged %d, taken before %d", taken, acked, seen)
		}
		seen = taken
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for taken != acked {
		taken, acked = server.Sent()
	}
	if taken <= size || client.Received() != taken {
		t.Errorf("%d bytes: taken %d, received %d", size, taken, client.Received())
	}
}
