package tlsconn_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/tlsconn"
)

func TestPipeCarriesMoreThanItHolds(t *testing.T) {
	t.Parallel()
	a, b := tlsconn.Pipe()
	want := make([]byte, 3<<20)
	for i := range want {
		want[i] = byte(i >> 3)
	}
	written := make(chan error, 1)
	go func() {
		n, err := a.Write(want)
		if err == nil && n != len(want) {
			err = io.ErrShortWrite
		}
		a.Close()
		written <- err
	}()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestPipeWriterWaitsForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := tlsconn.Pipe()
		written := make(chan int, 1)
		go func() {
			n, err := a.Write(make([]byte, 1<<20))
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("Write: %v", err)
			}
			written <- n
		}()
		synctest.Wait()
		select {
		case n := <-written:
			t.Fatalf("a pipe holds %d bytes", n)
		default:
		}
		b.Close()
		if n := <-written; n == 0 || n >= 1<<20 {
			t.Errorf("%d bytes were taken", n)
		}
	})
}

func TestPipeReadIsInterrupted(t *testing.T) {
	t.Parallel()
	a, b := tlsconn.Pipe()
	defer b.Close()
	read := make(chan error, 1)
	go func() { _, err := a.Read(make([]byte, 1)); read <- err }()
	a.SetReadDeadline(time.Unix(1, 0))
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	a.SetReadDeadline(time.Time{})
	if _, err := b.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := a.Read(make([]byte, 5)); n != 1 || err != nil {
		t.Error(n, err)
	}
}

func TestPipeCloseDeliversWhatWasWritten(t *testing.T) {
	t.Parallel()
	a, b := tlsconn.Pipe()
	if _, err := a.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	a.Close()
	a.Close()
	if got, err := io.ReadAll(b); err != nil || string(got) != "last words" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
