package rpcnet_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// On a slow link a write takes longer than the write time-out and a PING waits
// behind what was sent before it. As long as bytes move nobody has gone.
func TestFieldASlowLinkLosesNoCall(t *testing.T) {
	t.Parallel()
	const calls, size, rate = 24, 256 << 10, 1 << 20
	const idle, timeout = 100 * time.Millisecond, 400 * time.Millisecond
	all := new(sync.WaitGroup)
	all.Add(calls)
	srv := rpcnet.NewServer(nil)
	srv.Handle("large", func(context.Context, []byte) ([]byte, error) {
		all.Done()
		all.Wait() // the answers go out at once
		return make([]byte, size), nil
	})
	ep := rpctest.Serve(t, srv, &rpcnet.EndpointConfig{WriteTimeout: timeout, KeepaliveIdle: idle, KeepaliveTimeout: timeout})
	p := rpctest.NewProxy(t, ep.Addr().String())
	if err := p.LimitRate(rate); err != nil {
		t.Fatal(err)
	}
	conn := rpctest.Dial(t, p.Addr(), &rpcnet.DialConfig{WriteTimeout: timeout, KeepaliveIdle: idle, KeepaliveTimeout: timeout})
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			out, err := rpcnet.CallRaw(within(t), conn, "large", nil)
			if err != nil || len(out) != size {
				t.Errorf("call %d: %d bytes, %v, after %v", i, len(out), err, time.Since(begin))
			}
		})
	}
	wg.Wait()
	passed := time.Since(begin)
	if least := calls * size * time.Second / rate / 2; passed < least {
		t.Errorf("the link is not slow: %d bytes in %v", calls*size, passed)
	}
	if t.Failed() {
		return
	}
	t.Logf("field | %d answers of %d KiB over %d KiB/s, time-outs of %v | all have come | %v", calls, size>>10, rate>>10, timeout,
		passed.Round(100*time.Millisecond))
}
