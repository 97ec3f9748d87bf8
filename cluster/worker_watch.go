package cluster

import (
	"context"
	"encoding/binary"
	"io"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/load"
)

// The control stream, /cluster.v1.Worker/Watch, is a feed of bytes. The chooser
// opens it with its hello:
//
//	byte     version, 1
//	8 bytes  the chooser's random id
//	varint   how many workers it watches, which sets the pace
//	varint   the heartbeat it asks for in microseconds, 0: by the pace
//
// The worker answers with messages that begin with a kind:
//
//	'h' byte version, then the boot id of its node   once, first
//	'r' a load.Report                                at every change and heartbeat
//
// Unknown kinds are skipped. A chooser whose number of workers changes much
// calls /cluster.v1.Worker/Pace with a new hello, which sets the pace of its
// streams.

const (
	watchVersion = 1
	kindHello    = 'h'
	kindReport   = 'r'

	minHeartbeat = 10 * time.Millisecond
	maxHeartbeat = 10 * time.Second
)

var watchSpec = &rpcnet.Spec{Procedure: "/cluster.v1.Worker/Watch", Shape: rpcnet.Feed, Idempotency: rpcnet.NoSideEffects}

var paceSpec = &rpcnet.Spec{Procedure: "/cluster.v1.Worker/Pace", Idempotency: rpcnet.Idempotent}

// ticketHeader carries the ticket of a call.
const ticketHeader = "rpcnet-ticket-bin"

// loadTrailer carries a load.Report with the end of a unary call that its
// chooser has made itself.
const loadTrailer = "rpcnet-load-bin"

// A watchHello is what a chooser opens the control stream with.
type watchHello struct {
	chooser   uint64
	workers   int
	heartbeat time.Duration
}

func (h watchHello) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, watchVersion), h.chooser)
	dst = binary.AppendUvarint(dst, uint64(h.workers))
	return binary.AppendUvarint(dst, uint64(h.heartbeat/time.Microsecond))
}

func parseWatchHello(b []byte) (watchHello, error) {
	bad := rpcnet.NewError(rpcnet.CodeInvalidArgument, "malformed hello of a control stream")
	if len(b) < 11 || len(b) > 64 {
		return watchHello{}, bad
	}
	if b[0] != watchVersion {
		return watchHello{}, rpcnet.Errorf(rpcnet.CodeUnimplemented, "control stream of version %d, this worker speaks %d", b[0], watchVersion)
	}
	workers, n := binary.Uvarint(b[9:])
	if n <= 0 || workers > 1<<20 {
		return watchHello{}, bad
	}
	micros, m := binary.Uvarint(b[9+n:])
	if m <= 0 || micros > uint64(maxHeartbeat/time.Microsecond) {
		return watchHello{}, bad
	}
	return watchHello{binary.BigEndian.Uint64(b[1:]), int(workers), time.Duration(micros) * time.Microsecond}, nil
}

// pace returns the longest and the shortest time between two reports.
func (h watchHello) pace() (heartbeat, gap time.Duration) {
	heartbeat = h.heartbeat
	if heartbeat == 0 {
		heartbeat = load.Heartbeat(h.workers)
	}
	heartbeat = max(heartbeat, minHeartbeat)
	return heartbeat, min(load.Gap(h.workers), heartbeat)
}

// A watcher is one chooser's stream of reports.
type watcher struct {
	wake  chan struct{}
	hello watchHello // the last one; guarded by the worker's mu
}

// servePace changes the pace of a chooser's streams.
func (w *Worker) servePace(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
	var b []byte
	if err := s.Recv(&b); err != nil {
		return err
	}
	hello, err := parseWatchHello(b)
	if err != nil {
		return err
	}
	w.mu.Lock()
	for v := range w.watchers {
		if v.hello.chooser == hello.chooser {
			v.hello = hello
		}
	}
	w.changed()
	w.mu.Unlock()
	return s.Send([]byte{})
}

// serveWatch sends reports until the chooser goes away or the worker ends.
func (w *Worker) serveWatch(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
	var b []byte
	if err := s.Recv(&b); err != nil {
		if err == io.EOF {
			return rpcnet.NewError(rpcnet.CodeInvalidArgument, "control stream without a hello")
		}
		return err
	}
	hello, err := parseWatchHello(b)
	if err != nil {
		return err
	}
	v := &watcher{wake: make(chan struct{}, 1), hello: hello}
	w.mu.Lock()
	w.watchers[v] = struct{}{}
	w.ledger.Watch(hello.chooser)
	w.changed()
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.watchers, v)
		w.ledger.Unwatch(hello.chooser)
		w.changed()
		w.mu.Unlock()
	}()

	if err := s.Send(append([]byte{kindHello, watchVersion}, w.boot...)); err != nil {
		return err
	}
	beat := time.NewTimer(time.Hour)
	defer beat.Stop()
	snapshot := true
	for {
		w.mu.Lock()
		r := w.ledger.Report(hello.chooser, snapshot)
		heartbeat, gap := v.hello.pace()
		w.mu.Unlock()
		r.Interval = heartbeat
		snapshot = false
		b = r.Append(append(b[:0], kindReport))
		if err := s.Send(b); err != nil {
			return err
		}
		sent := time.Now()
		beat.Reset(heartbeat)
		select {
		case <-beat.C:
		case <-v.wake:
			// A change: wait out the gap, in which more may change.
			if wait := gap - time.Since(sent); wait > 0 {
				beat.Reset(wait)
				select {
				case <-beat.C:
				case <-ctx.Done():
					return ctx.Err()
				case <-w.closed:
					return errWorkerClosed
				}
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-w.closed:
			return errWorkerClosed
		}
		select { // what has changed until now is in the next report
		case <-v.wake:
		default:
		}
	}
}

var errWorkerClosed = rpcnet.NewError(rpcnet.CodeUnavailable, "the worker has left the cluster")
