package stub_test

import (
	"context"
	"io"
	"iter"
	"math"
	"runtime"
	"runtime/metrics"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/stub"
	"github.com/rpcnet-go/rpcnet/rpctest"
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

// A handler that waits for the next request keeps a stack of 4 KiB, even if sending a
// response took more: the garbage collector halves a stack of 8 KiB of which less than 2 KiB
// are in use, so the frames below a handler that waits must be small.
func TestStackAllocatedForIdleStream(t *testing.T) {
	if raceEnabled {
		t.Skip("frames are larger under the race detector")
	}
	const streams, most = 200, 6 << 10 // bytes for each stream: between 4 KiB and 8
	spec := noteSpec("Idle", codegen.ShapeBidi)
	srv := rpcnet.NewServer(nil)
	srv.Register(spec, stub.HandleBidi(func(_ context.Context, in iter.Seq2[*note, error]) iter.Seq2[*note, error] { return in }, stub.NewPointer[note]))
	client := rpcnet.NewClient(rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil), nil)
	// open opens a stream and makes one turn, after which the handler waits.
	open := func() {
		s, err := stub.OpenBidi[*note](t.Context(), client, spec, stub.NewPointer[note])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		if err := s.Send(&note{Text: "thirty-two bytes of text in each"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	open() // what the first one brings into being is not counted
	before := stackBytes()
	for range streams {
		open()
	}
	each := float64(stackBytes()-before) / streams
	if t.Logf("%.0f bytes of stack for each stream", each); each > most {
		t.Errorf("%.0f bytes of stack for each stream, want at most %d", each, most)
	}
}

// stackBytes returns what the stacks of all goroutines take once the garbage collector has
// made them small.
func stackBytes() int64 {
	for range 4 { // each halves a stack once
		runtime.GC()
	}
	s := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}
