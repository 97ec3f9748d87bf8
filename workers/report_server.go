package workers

import (
	"context"
	"encoding/binary"
	"io"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// The control stream, /cluster.v1.Worker/Watch, is a server stream of bytes. The
// balancer opens it with its hello:
//
//	byte      version, 2
//	8 bytes   the balancer's random id, which is the peer's that first says it
//	16 bytes  the key of its tickets for this worker: see load.Secret
//	varint    how many workers it watches, at most 2^20, which sets the pace
//	varint    the heartbeat it asks for in microseconds, at most 10 s, 0: by the pace
//
// The worker answers with messages that begin with a kind:
//
//	'h' byte version, then the boot id of its node   once, first
//	'r' a load.Report                                at every change and heartbeat
//
// Unknown kinds are skipped. A balancer whose number of workers changes much
// calls /cluster.v1.Worker/Pace with a new hello, which sets the pace of its
// streams, and of no other's.
//
// Both are for peers whose certificates allow them to be directors. Their number is
// bounded: see maxReportStreams.

const (
	reportVersion = 2
	kindHello     = 'h'
	kindReport    = 'r'

	minHeartbeat = 10 * time.Millisecond
	maxHeartbeat = 10 * time.Second

	// maxWatchers is how many streams of reports a worker serves, maxWatchersEach
	// how many of them to one identity: that is the number of nodes with a
	// registry, if all share a certificate.
	maxReportStreams     = 1024
	maxReportStreamsEach = 256
)

// reportSpec is the procedure of the control stream.
var reportSpec = &rpcnet.Spec{Procedure: "/cluster.v1.Worker/Watch", Shape: codegen.ShapeServerStream, Idempotency: codegen.IdempotencyNoSideEffects}

// paceSpec is the procedure that changes the pace of the control stream.
var paceSpec = &rpcnet.Spec{Procedure: "/cluster.v1.Worker/Pace", Idempotency: codegen.IdempotencyIdempotent}

// loadTrailer carries a load.Report with the end of a unary call that its
// balancer has made itself.
const loadTrailer = "rpcnet-load-bin"

// A watchHello is what a balancer opens the control stream with.
type reportHello struct {
	balancer  uint64
	key       [load.SecretSize]byte
	workers   int
	heartbeat time.Duration
}

// append appends the encoding of h.
func (h reportHello) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, reportVersion), h.balancer)
	dst = append(dst, h.key[:]...)
	dst = binary.AppendUvarint(dst, uint64(h.workers))
	return binary.AppendUvarint(dst, uint64(h.heartbeat/time.Microsecond))
}

// parseReportHello decodes what append wrote. It ignores bytes after it, so that a
// newer balancer can say more, up to 64 bytes in all.
func parseReportHello(b []byte) (reportHello, error) {
	const fixed = 1 + 8 + load.SecretSize
	bad := rpcnet.NewError(rpcnet.CodeInvalidArgument, "malformed hello of a control stream")
	if len(b) == 0 || len(b) > 64 {
		return reportHello{}, bad
	}
	if b[0] != reportVersion {
		return reportHello{}, rpcnet.Errorf(rpcnet.CodeUnimplemented, "control stream of version %d, this worker speaks %d", b[0], reportVersion)
	}
	if len(b) < fixed+2 {
		return reportHello{}, bad
	}
	h := reportHello{balancer: binary.BigEndian.Uint64(b[1:]), key: [load.SecretSize]byte(b[9:])}
	b = b[fixed:]
	workers, n := binary.Uvarint(b)
	if n <= 0 || workers > 1<<20 {
		return reportHello{}, bad
	}
	micros, m := binary.Uvarint(b[n:])
	if m <= 0 || micros > uint64(maxHeartbeat/time.Microsecond) {
		return reportHello{}, bad
	}
	h.workers, h.heartbeat = int(workers), time.Duration(micros)*time.Microsecond
	return h, nil
}

// pace returns the longest and the shortest time between two reports: those that the
// balancer asks for, or else those for its number of workers.
func (h reportHello) pace() (heartbeat, gap time.Duration) {
	heartbeat = h.heartbeat
	if heartbeat == 0 {
		heartbeat = load.Heartbeat(h.workers)
	}
	heartbeat = max(heartbeat, minHeartbeat)
	return heartbeat, min(load.MinReportInterval(h.workers), heartbeat)
}

// A reportStream is one balancer's stream of reports. A goroutine of the endpoint serves
// it, and sleeps until wake has something or a heartbeat is due. wake has room for one:
// changes that come before the goroutine looks are one change.
type reportStream struct {
	wake  chan struct{}
	peer  string      // the balancer's identity
	hello reportHello // the last one; guarded by the worker's mu
}

// servePace changes the pace of a balancer's streams. Only a peer with the same
// identity, id and key can change it; for others nothing happens.
func (w *Worker) servePace(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
	var b []byte
	if err := s.Recv(&b); err != nil {
		return err
	}
	hello, err := parseReportHello(b)
	if err != nil {
		return err
	}
	peer := extend.CallerID(ctx)
	w.mu.Lock()
	for v := range w.reports {
		if v.peer == peer && v.hello.balancer == hello.balancer && v.hello.key == hello.key {
			v.hello = hello
			v.poke()
		}
	}
	w.mu.Unlock()
	return s.Send([]byte{})
}

// changed wakes those who report, and drain if nothing is in flight any more. The caller
// holds mu. It costs a look at each stream, and wakes nothing that is awake already.
func (w *Worker) changed() {
	for v := range w.reports {
		v.poke()
	}
	if w.idle != nil && w.ledger.InFlight() == 0 {
		close(w.idle)
		w.idle = nil
	}
}

// poke wakes the goroutine that sends reports.
func (v *reportStream) poke() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// enter begins a stream of reports, if there is room for it and the balancer's id
// is its peer's: the first peer that uses an id owns it while the ledger remembers it,
// so that no other peer can claim its tickets.
func (w *Worker) enter(v *reportStream) error {
	secret, err := load.SecretOf(v.hello.key[:])
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	each := 0 // streams of the same identity
	for o := range w.reports {
		if o.peer == v.peer {
			each++
		}
	}
	switch {
	case len(w.reports) >= maxReportStreams:
		return rpcnet.Errorf(rpcnet.CodeResourceExhausted, "worker: it reports to %d balancers, the most it serves", maxReportStreams)
	case each >= maxReportStreamsEach:
		return rpcnet.Errorf(rpcnet.CodeResourceExhausted, "worker: it reports to %d balancers of %q, the most of one identity: give each node a certificate of its own", maxReportStreamsEach, loglimit.Cut(v.peer))
	case !w.ledger.Subscribe(v.hello.balancer, v.peer, secret):
		return rpcnet.NewError(rpcnet.CodePermissionDenied, "worker: the balancer's id is another's")
	}
	w.reports[v], w.watched = struct{}{}, true
	w.changed()
	return nil
}

// leave ends a stream of reports. The tickets of its balancer still hold for a while, so
// that one that comes back finds its calls counted.
func (w *Worker) leave(v *reportStream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.reports, v)
	w.ledger.Unsubscribe(v.hello.balancer)
	w.changed()
}

// serveWatch sends reports until the balancer goes away or the worker ends.
func (w *Worker) serveReports(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
	var b []byte
	if err := s.Recv(&b); err != nil {
		if err == io.EOF {
			return rpcnet.NewError(rpcnet.CodeInvalidArgument, "control stream without a hello")
		}
		return err
	}
	hello, err := parseReportHello(b)
	if err != nil {
		return err
	}
	v := &reportStream{wake: make(chan struct{}, 1), peer: extend.CallerID(ctx), hello: hello}
	if err := w.enter(v); err != nil {
		return err
	}
	defer w.leave(v)
	if err := s.Send(append([]byte{kindHello, reportVersion}, w.boot...)); err != nil {
		return err
	}
	beat := time.NewTimer(time.Hour)
	defer beat.Stop()
	snapshot := true
	for { // a report, then sleep until the heartbeat is due or something changes
		w.mu.Lock()
		r := w.ledger.Report(hello.balancer, snapshot)
		heartbeat, gap := v.hello.pace()
		w.mu.Unlock()
		r.Interval = heartbeat
		snapshot = false // from now on each report has only what is new
		b = r.Append(append(b[:0], kindReport))
		if err := s.Send(&b); err != nil { // a pointer goes into an interface without allocating
			return err
		}
		sent := time.Now()
		beat.Reset(heartbeat)
		select {
		case <-beat.C:
		case <-v.wake:
			// A change. What else changes within the gap goes into the same report, so
			// that a busy worker sends at most one report per gap and balancer.
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
