package stub_test

import (
	"context"
	"io"
	"iter"
	"math"
	"runtime"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/stub"
)

// A stream of small messages costs one allocation for each, both sides together, and none
// if they are received into a message of the caller. It counts those of the whole process,
// so it does not run beside other tests.
func TestStreamAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and sync.Pool drops at random under it")
	}
	const messages = 20_000
	spec := noteSpec("Feed", codegen.ShapeServerStream)
	srv := rpcnet.NewServer(nil)
	srv.Register(spec, stub.HandleServerStream(func(context.Context, *note) iter.Seq2[*note, error] {
		return func(yield func(*note, error) bool) {
			out := &note{Text: "thirty-two bytes of text in each"}
			for out.Seq < messages {
				out.Seq++
				if !yield(out, nil) {
					return
				}
			}
		}
	}, stub.NewPointer[note]))
	onTransports(t, srv, func(t *testing.T, client *rpcnet.Client) { countAllocations(t, client, spec, messages) })
}

// countAllocations receives a stream of as many messages in both ways.
func countAllocations(t *testing.T, client *rpcnet.Client, spec *rpcnet.Spec, messages uint64) {
	sum := func(got *uint64, m *note) { *got += m.Seq }
	for name, c := range map[string]struct {
		most    float64 // allocations for each message
		receive func() (sum uint64, err error)
	}{
		"a sequence": {1, func() (got uint64, err error) {
			for m, err := range stub.CallServerStream(t.Context(), client, spec, new(note), stub.NewPointer[note]) {
				if err != nil {
					return 0, err
				}
				sum(&got, m)
			}
			return got, nil
		}},
		"RecvInto": {0, func() (got uint64, err error) {
			s, err := stub.OpenServerStream(t.Context(), client, spec, new(note), stub.NewPointer[note])
			if err != nil {
				return 0, err
			}
			defer s.Close()
			var m note
			for err = s.RecvInto(&m); err == nil; err = s.RecvInto(&m) {
				sum(&got, &m)
			}
			if err == io.EOF {
				err = nil
			}
			return got, err
		}},
	} {
		best := math.Inf(1)
		for range 4 { // in the first ones pools fill, stacks and buffers grow
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, err := c.receive()
			runtime.ReadMemStats(&after)
			if err != nil || got != messages*(messages+1)/2 {
				t.Fatalf("%s: the sum is %d, %v", name, got, err)
			}
			best = min(best, float64(after.Mallocs-before.Mallocs)/float64(messages))
		}
		// The stream itself, and what runs beside, is a hundredth of a message.
		if t.Logf("%s: %.3f allocations for each message", name, best); best > c.most+0.02 {
			t.Errorf("%s: %.3f allocations for each message, want at most %v", name, best, c.most)
		}
	}
}
