package rpcnet_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

func TestSmoke(t *testing.T) {
	ca, err := rpcnet.NewDevCA()
	if err != nil {
		t.Fatal(err)
	}
	creds, err := ca.Credentials()
	if err != nil {
		t.Fatal(err)
	}
	ep, err := rpcnet.Listen("127.0.0.1:0", creds)
	if err != nil {
		t.Fatal(err)
	}
	srv := rpcnet.NewServer()
	srv.Handle("echo", func(ctx context.Context, in []byte) ([]byte, error) { return in, nil })
	go ep.Serve(context.Background(), srv)
	conn, err := rpcnet.Dial(context.Background(), ep.Addr().String(), creds)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		out, err := rpcnet.CallRaw(context.Background(), conn, "echo", []byte("hello"))
		if err != nil || string(out) != "hello" {
			t.Fatal(i, string(out), err)
		}
	}
	var wg sync.WaitGroup
	start := time.Now()
	const N, M = 64, 10000
	for range N {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range M {
				_, err := rpcnet.CallRaw(context.Background(), conn, "echo", []byte("hello"))
				if err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	t.Log(N*M/time.Since(start).Seconds(), "calls/s")
	for _, n := range []int{0, 1, 1000, 20000, 70000, 300000, 4 << 20} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i * 7)
		}
		out, err := rpcnet.CallRaw(context.Background(), conn, "echo", b)
		if err != nil || string(out) != string(b) {
			t.Fatal(n, len(out), err)
		}
	}
	conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := ep.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkLone(b *testing.B) { bench(b, 1) }
func Benchmark64(b *testing.B)   { bench(b, 64) }
func bench(b *testing.B, n int) {
	ca, _ := rpcnet.NewDevCA()
	creds, _ := ca.Credentials()
	ep, err := rpcnet.Listen("127.0.0.1:0", creds)
	if err != nil {
		b.Fatal(err)
	}
	srv := rpcnet.NewServer()
	srv.Handle("echo", func(ctx context.Context, in []byte) ([]byte, error) { return in, nil })
	go ep.Serve(context.Background(), srv)
	conn, err := rpcnet.Dial(context.Background(), ep.Addr().String(), creds)
	if err != nil {
		b.Fatal(err)
	}
	msg := make([]byte, 32)
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range b.N / n {
				if _, err := rpcnet.CallRaw(context.Background(), conn, "echo", msg); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	b.StopTimer()
	conn.Close()
	ep.Close()
}
