package workers

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/load"
)

// A balancer that finds a worker much fuller than others asks it to hand streams over,
// /cluster.v1.Worker/Handover, a unary procedure of bytes for peers whose certificates
// allow them to be directors:
//
//	byte     version, 1
//	8 bytes  the balancer's id, as in its control stream, which must be open
//	varint   how many streams, at most 2^20
//
// The worker ends so many of its resumable streams as a drain would, and answers
//
//	varint   how many it has handed over
//	byte     1 if it listens to this balancer, 0 if to another at this time
//
// Bytes after these are ignored. The bounds are the worker's: see load.Handover.

const (
	handoverVersion = 1
	// maxHandover is more streams than a worker runs at a time.
	maxHandover = 1 << 20
)

// handoverSpec is the procedure that asks a worker to hand streams over.
var handoverSpec = &rpcnet.Spec{Procedure: "/cluster.v1.Worker/Handover"}

// A handoverRequest asks a worker to hand streams over.
type handoverRequest struct {
	balancer uint64 // the id of its control stream
	streams  int    // at most so many
}

// append appends the encoding of h. It takes 19 bytes at most.
func (h handoverRequest) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, handoverVersion), h.balancer)
	return binary.AppendUvarint(dst, uint64(h.streams))
}

// parseHandoverRequest decodes what append wrote, with at most 64 bytes.
func parseHandoverRequest(b []byte) (handoverRequest, error) {
	bad := rpcnet.NewError(rpcnet.CodeInvalidArgument, "malformed request to hand streams over")
	if len(b) == 0 || len(b) > 64 {
		return handoverRequest{}, bad
	}
	if b[0] != handoverVersion {
		return handoverRequest{}, rpcnet.Errorf(rpcnet.CodeUnimplemented, "request to hand streams over of version %d, this worker speaks %d", b[0], handoverVersion)
	}
	if len(b) < 10 {
		return handoverRequest{}, bad
	}
	n, size := binary.Uvarint(b[9:])
	if size <= 0 || n > maxHandover {
		return handoverRequest{}, bad
	}
	return handoverRequest{binary.BigEndian.Uint64(b[1:]), int(n)}, nil
}

// A handoverAnswer is what a worker has done about a request.
type handoverAnswer struct {
	moved int  // streams that it has handed over
	heard bool // it listens to this balancer now, not to another
}

// append appends the encoding of a.
func (a handoverAnswer) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(a.moved))
	if a.heard {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// parseHandoverAnswer decodes what append wrote.
func parseHandoverAnswer(b []byte) (handoverAnswer, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > maxHandover || len(b) <= size || b[size] > 1 {
		return handoverAnswer{}, rpcnet.NewError(rpcnet.CodeInternal, "malformed answer of a worker that was asked to hand streams over")
	}
	return handoverAnswer{int(n), b[size] == 1}, nil
}

// serveHandover hands streams over at a balancer's request. It answers before the streams
// have ended: their handlers take as long as they need to see that their contexts have.
func (w *Worker) serveHandover(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
	var b []byte
	if err := s.Recv(&b); err != nil {
		return err
	}
	req, err := parseHandoverRequest(b)
	if err != nil {
		return err
	}
	a, err := w.handOver(extend.CallerID(ctx), req)
	if err != nil {
		return err
	}
	return s.Send(a.append(nil))
}

// handOver moves as many streams as the request asks for and the worker's bounds allow,
// the youngest of those that can move first. They lose least, such as what a model keeps of
// a long conversation. peer must have a control stream of the balancer.
func (w *Worker) handOver(peer string, req handoverRequest) (handoverAnswer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.reportsTo(peer, req.balancer) {
		return handoverAnswer{}, rpcnet.NewError(rpcnet.CodePermissionDenied, "worker: who asks to hand streams over has no control stream with this id")
	}
	// The bounds first: a request in vain costs no walk over the streams.
	now := w.now()
	n, heard := w.handover.Allow(now, req.balancer, req.streams, len(w.streams))
	if n <= 0 || w.moving { // a worker that drains moves all of them by itself
		return handoverAnswer{heard: heard}, nil
	}
	var may []*movable
	for m := range w.streams {
		if !m.moved.Load() && load.Movable(now, m.began, m.resumed) {
			may = append(may, m)
		}
	}
	// Those that began last come first.
	slices.SortFunc(may, func(a, b *movable) int { return cmp.Compare(b.began, a.began) })
	may = may[:min(n, len(may))]
	// Each handler's context ends, and its stream with the detail of a move.
	for _, m := range may {
		m.move()
	}
	w.handover.Spend(len(may))
	if len(may) > 0 {
		w.cfg.Logger.Info("streams are handed over to other workers", "streams", len(may), "of", len(w.streams), "for", peer)
	}
	return handoverAnswer{len(may), heard}, nil
}

// reportsTo reports whether a balancer of the peer has a control stream. The caller holds
// mu.
func (w *Worker) reportsTo(peer string, balancer uint64) bool {
	for v := range w.reports {
		if v.peer == peer && v.hello.balancer == balancer {
			return true
		}
	}
	return false
}

// handover asks a worker over its control connection to hand streams over. The error of an
// older worker, which does not serve the procedure, has the code Unimplemented.
func handover(ctx context.Context, conn *rpcnet.Conn, req handoverRequest) (handoverAnswer, error) {
	// Not made again: the next look asks anew, for what is right then.
	var out []byte
	if err := rpcnet.NewClient(conn, nil).Unary(ctx, handoverSpec, req.append(nil), &out); err != nil {
		return handoverAnswer{}, err
	}
	return parseHandoverAnswer(out)
}
