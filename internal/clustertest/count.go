package clustertest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
)

// CountSpec is a resumable stream of bytes. The request has two numbers: the first
// one that is wanted and the last. Each response is a number. A test of failover then
// sees a message that is lost or comes twice. The handler is that of the test, which
// decides when it fails.
var CountSpec = &rpcnet.Spec{
	Procedure: "count", Shape: codegen.ShapeServerStream,
	Resume: &codegen.Resume{
		// A message of bytes is sent as a value and received through a pointer.
		Sequence: func(res any) uint64 {
			b, ok := res.([]byte)
			if !ok {
				b = *res.(*[]byte)
			}
			return binary.BigEndian.Uint64(b)
		},
		// The new request begins at next, and ends where the old one did.
		From: func(req any, next uint64) any { return Numbers(next, binary.BigEndian.Uint64(req.([]byte)[8:])) },
	},
}

// Numbers encodes numbers, 8 bytes each, big-endian.
func Numbers(ns ...uint64) (b []byte) {
	for _, n := range ns {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

// Count calls CountSpec over tr and reads numbers 1 to last. The error is that of the
// stream, or says which number was lost or came twice. each, if not nil, is called
// with every number, on the goroutine of Count, before the next one is received.
// The call has 2 min, which is more than the failover of any test takes on a starved
// machine. The error, not tb, tells what is wrong, so that Count may run on any
// goroutine.
func Count(tb testing.TB, tr rpcnet.Transport, last uint64, each func(n uint64)) error {
	ctx, cancel := context.WithTimeout(tb.Context(), 2*time.Minute)
	defer cancel()
	s, err := tr.NewStream(ctx, CountSpec)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Send(Numbers(1, last)); err != nil {
		return err
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	for want := uint64(1); ; want++ {
		var b []byte
		if err := s.Recv(&b); err == io.EOF {
			// A clean end before last is a tail that was cut off. Failover must
			// resume such a stream and not pass the end on.
			if want != last+1 {
				return fmt.Errorf("the stream ended before %d of %d", want, last)
			}
			return nil
		} else if err != nil {
			return err
		}
		// Less than want came twice, or in the wrong order. More has a gap before it.
		if n := binary.BigEndian.Uint64(b); n != want {
			return fmt.Errorf("got %d, want %d", n, want)
		}
		if each != nil {
			each(want)
		}
	}
}
