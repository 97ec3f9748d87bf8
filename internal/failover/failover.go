// Package failover makes calls over workers that a [Picker] chooses: a registry in
// the same process, or a director. It knows when a call can be made again on
// another worker, and how a resumable stream goes on there.
//
// A [Client] makes the calls. Each is a [Stream]: one loop that opens the call on a
// worker, receives, and opens it again on another worker when the attempt fails. Two
// policies differ in what they allow. A call that is retried stays where its first
// response came from (retry.go). A resumable stream goes on elsewhere with the next
// message (resume.go). A hedged call is an idempotent unary one: two streams, of
// which the first answer counts (hedge.go). Any other unary call has a short cut by the same rules
// as a retried one (unary.go).
//
// A Stream has no goroutine of its own: its methods run on the caller's, and Recv
// does the failing over. A call whose worker is silent has a goroutine for the time
// of a probe, and a hedged call one for each of its streams.
//
// [Cursor], [Stall], [Budget] and [Backoff] are the arithmetic of going on
// elsewhere, without network or clock: whether a message of a resumable stream
// is the next one, how long silence may last, how often to try again and when.
// Instants are durations since an origin of the caller's choice. They are not safe
// for concurrent use.
//
// The rules of resumable streams, checked by a fuzz of 20 000 streams under
// random crashes, partitions, late and lost frames (no message lost, none twice,
// every text a continuation of itself):
//
//   - the client arbitrates: it alone knows what was accepted;
//   - each attempt has a number, and what comes from an older one is dropped, or
//     the text of two workers would mix;
//   - a message is accepted only if its sequence is the next one;
//   - the end says which sequence was the last, or a cut tail would look like
//     one;
//   - a new attempt asks for what follows the last accepted message.
package failover

import (
	"context"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A Picker chooses workers. It is safe for concurrent use.
type Picker interface {
	// Pick chooses a worker for a call that c makes. The error is [ErrNoWorker] if
	// there is none now. With req.Alternates, the call may move to another worker: a
	// connection to one should be ready. The picker does not keep req.
	Pick(ctx context.Context, c *Client, req *balance.PickRequest) (Attempt, error)
}

// An Attempt is one attempt of a call on one worker. It counts as in flight from
// the choice of the worker to End.
type Attempt interface {
	// Worker returns the worker.
	Worker() Worker
	// Open connects if need be and opens the stream. number counts the attempts of
	// the call from 0.
	Open(ctx context.Context, spec *rpcnet.Spec, number int) (rpcnet.ClientStream, error)
	// Call connects if need be and prepares the unary call for its Exchange, in place of
	// Open.
	Call(ctx context.Context, call extend.Unary, number int) error
	// Probe asks the worker whether it lives. Any answer is nil.
	Probe(ctx context.Context) error
	// End says how the attempt ended. Only the first call counts.
	End(err error)
}

// A Worker is a life of a worker at an address. Its Target names the node that must
// answer there. Without a cluster any server does, and the Target only tells workers
// apart.
type Worker struct {
	rpcnet.Target
	Addr string
	// ServerName is what the worker's certificate may carry in place of the host
	// of Addr. Default: nothing else.
	ServerName string
}

// Required returns the Target that must answer at the worker's address: the zero
// Target, which any server is, without a cluster.
func (w *Worker) Required() rpcnet.Target {
	if w.Cluster == "" {
		return rpcnet.Target{}
	}
	return w.Target
}

// An Event is a turn in the life of a call.
type Event struct {
	Kind   Kind
	Worker string // its name; "": none is concerned
	// Attempt numbers the attempt, from 0, with Connected, Failed, Moved and Resumed.
	Attempt int
	Addr    string // with Assigned, Alternate and Connected
	Err     error
	Next    uint64        // the sequence that a resumable stream goes on with
	Pause   time.Duration // with Waiting
}

// A Kind is what an [Event] tells.
type Kind uint8

// The kinds.
const (
	Asking    Kind = iota // a director is asked for a worker
	Assigned              // Worker was chosen
	Alternate             // no director names a worker: Worker was named before
	Connected             // the call is open on Worker
	Failed                // Worker failed with Err, and the stream goes on elsewhere
	Moved                 // Worker is leaving: it hands over, or takes nothing new
	Resumed               // Worker goes on from Next
	Waiting               // there is no worker (Err): the next is looked for after Pause
)
