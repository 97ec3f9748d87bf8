package failover_test

import (
	"context"
	"io"
	"slices"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/internal/failover"
)

// A receipt answers a request and acknowledges all that came before it in the
// attempt.
type receipt struct{ seq, requests uint64 }

func (r *receipt) AcknowledgedRequests() uint64 { return r.requests }

var talkSpec = &rpcnet.Spec{
	Procedure: "talk", Shape: codegen.ShapeBidi,
	Response: codegen.Message{
		Append: func(dst []byte, msg any) ([]byte, error) {
			r := msg.(*receipt)
			return cbor.Buffer(dst).AppendUint(r.seq<<32 | r.requests), nil
		},
		Decode: func(d *cbor.Decoder, msg any) {
			v := d.Uint64()
			*msg.(*receipt) = receipt{v >> 32, v & 0xffffffff}
		},
	},
	Resume: &codegen.Resume{
		Sequence: func(res any) uint64 { return res.(*receipt).seq },
		From:     func(_ any, next uint64) any { return bytes(1000 + next) },
	},
}

// Every worker fails after five requests. Whoever goes on is sent the first one
// again, as Resume.From makes it, and those without a receipt, however often the
// stream was resumed before.
func TestAcknowledgedRequestsAreNotSentAgain(t *testing.T) {
	var attempts [][]uint64
	talk := method{spec: talkSpec, handler: func(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
		attempts = append(attempts, nil)
		attempt := &attempts[len(attempts)-1]
		for seq := uint64(1); ; seq++ {
			var req []byte
			if err := s.Recv(&req); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			n := number(req)
			if *attempt = append(*attempt, n); len(*attempt) > 5 {
				return errFailed
			}
			if n > 1000 {
				seq = n - 1000 - 1 // nothing to answer
				continue
			}
			if err := s.Send(&receipt{seq, uint64(len(*attempt))}); err != nil {
				return err
			}
		}
	}}
	bubble(t, func(t *testing.T, c *fakeCluster) {
		s := open(t.Context(), t, c, talkSpec)
		defer s.Close()
		for n := uint64(1); n <= 14; n++ {
			if err := s.Send(bytes(n)); err != nil {
				t.Fatal(err)
			}
			var r receipt
			if err := s.Recv(&r); err != nil || r.seq != n {
				t.Fatalf("%d: %+v, %v", n, r, err)
			}
		}
		s.CloseSend()
		if err := s.Recv(new(receipt)); err != io.EOF {
			t.Error(err)
		}
		want := [][]uint64{{1, 2, 3, 4, 5, 6}, {1006, 6, 7, 8, 9, 10}, {1010, 10, 11, 12, 13, 14}, {1014, 14}}
		if !slices.EqualFunc(attempts, want, slices.Equal) {
			t.Errorf("the workers were sent %v, want %v", attempts, want)
		}
	}, &fakeWorker{name: "a", methods: []method{talk}}, &fakeWorker{name: "b", methods: []method{talk}})
}

// The first worker says at the end that it has sent more than has come.
func TestCutTailIsSeenAlsoWhenTheCallerKeepsARecord(t *testing.T) {
	for _, records := range []bool{false, true} {
		t.Run(map[bool]string{false: "no record", true: "record"}[records], func(t *testing.T) {
			cut := func(ctx context.Context, first uint64, s rpcnet.ServerStream) error {
				rpcnet.ServerCallFrom(ctx).SetTrailer(failover.LastTrailer, "7")
				return upTo(5, 0, nil)(ctx, first, s)
			}
			bubble(t, func(t *testing.T, c *fakeCluster) {
				ctx := t.Context()
				var call *rpcnet.Call
				if records {
					ctx, call = rpcnet.NewCall(ctx, rpcnet.CallOptions{})
				}
				if n, _, err := count(ctx, t, c); err != nil || n != 7 {
					t.Errorf("%d numbers, want 7: %v", n, err)
				}
				if call != nil && call.Attempts() != 2 {
					t.Errorf("the caller's record has %d attempts", call.Attempts())
				}
			}, &fakeWorker{name: "a", serve: cut}, &fakeWorker{name: "b", serve: upTo(7, 0, nil)})
		})
	}
}
