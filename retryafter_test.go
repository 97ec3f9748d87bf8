package rpcnet_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
)

// A refusal says when to try again, across the wire and within its bounds.
func TestRefusalsSayWhenToTryAgain(t *testing.T) {
	t.Parallel()
	var says error
	srv := rpcnet.NewServer(nil)
	srv.Handle("full", func(context.Context, []byte) ([]byte, error) { return nil, says })
	conn := rpcnet.InProcess(srv)
	defer conn.Close()
	full := rpcnet.NewError(rpcnet.CodeResourceExhausted, "full")
	for _, c := range []struct {
		says error
		want time.Duration
	}{
		{full, 0},
		{full.WithRetryAfter(0), 0},
		{full.WithRetryAfter(-time.Second), 0},
		{full.WithRetryAfter(time.Microsecond), time.Millisecond},
		{full.WithRetryAfter(1500 * time.Millisecond).WithUnprocessed(), 1500 * time.Millisecond},
		{full.WithRetryAfter(time.Hour), time.Minute},
		{full.WithDetail(&codegen.Detail{Name: "rpcnet.v1.RetryAfter", Data: []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")}), time.Minute},
		{full.WithDetail(&codegen.Detail{Name: "rpcnet.v1.RetryAfter", Data: []byte("\xff")}), 0},
		{full.WithDetail(&codegen.Detail{Name: "other"}).WithRetryAfter(time.Second), time.Second},
	} {
		says = c.says
		_, err := rpcnet.CallRaw(within(t), conn, "full", nil)
		var e *rpcnet.Error
		if !errors.As(err, &e) || e.RetryAfter() != c.want || e.Code() != rpcnet.CodeResourceExhausted {
			t.Errorf("%v: after %v, want %v", err, e.RetryAfter(), c.want)
		}
	}
}
