package rpcnet_test

import (
	"runtime"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// resident returns the memory of heap and stacks in use.
func resident() int64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// What the memory budget counts for sessions and streams that do nothing is
// about what they take.
func TestCostsAreWhatIsCounted(t *testing.T) {
	ca := testkit.NewCA(t)
	node := newParty(t, ca, credentials.Leaf{})
	ep, err := rpcnet.Listen("127.0.0.1:0", node.creds, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	serving(ep, echoServer(nil))
	const sessions, streams = 200, 10_000
	var callers []*handmade
	for range 20 { // what is made once
		callers = append(callers, newHandmade(t, ep, node))
	}
	before, counted := resident(), ep.Stats().Memory.Used
	for range sessions {
		callers = append(callers, newHandmade(t, ep, node))
	}
	taken := resident() - before
	counted = ep.Stats().Memory.Used - counted
	wantNear(t, "a session, with its caller's side", taken/sessions, counted/sessions)
	before, counted = resident(), ep.Stats().Memory.Used
	c := callers[0]
	var b []byte
	for id := uint32(1); id <= streams; id++ {
		o := wire.Open{Number: 1}
		if id == 1 {
			o.Name = []byte("talk")
		}
		b = append(b, frame(wire.TypeOpen, 0, id, o.Append(nil))...)
	}
	c.send(b)
	eventually(t, "the streams run", func() bool { return ep.Stats().Streams == streams })
	taken = resident() - before
	counted = ep.Stats().Memory.Used - counted
	wantNear(t, "a stream", taken/streams, counted/streams)
}

// wantNear wants what is counted to be between half and four times of what is
// taken: allocators and the race detector add to it.
func wantNear(t *testing.T, what string, taken, counted int64) {
	t.Helper()
	t.Logf("%s: %d bytes taken, %d counted", what, taken, counted)
	if !raceEnabled && (counted < taken/2 || counted > 4*taken) {
		t.Errorf("%s takes %d bytes, %d are counted", what, taken, counted)
	}
}
