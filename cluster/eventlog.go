package cluster

import (
	"log/slog"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// eventLines is how many events are written to the log: all of a cluster that
// forms or splits, and few a second of one whose members invent others.
var eventLines = gossip.Rate{PerSecond: 20, Burst: 1000}

// An eventLog holds the events that are still to be written to the log. The node's
// mu guards it.
type eventLog struct {
	queue   []*Event
	writing bool // a goroutine writes: the others leave the order to it
	limit   gossip.Bucket
	left    int // left out since the last line
}

// logEvents writes what has happened to the log, in order, without the lock, which
// the caller holds before and after: a log that blocks must not hold up the view.
func (n *Node) logEvents() {
	l := &n.toLog
	if l.writing {
		return
	}
	l.writing = true
	for len(l.queue) > 0 {
		events := l.queue
		l.queue = nil
		n.mu.Unlock()
		for _, e := range events {
			n.logEvent(e)
		}
		n.mu.Lock()
	}
	l.writing = false
}

// logEvent writes one line, or counts it as left out. Only the goroutine that has
// set writing calls it.
func (n *Node) logEvent(e *Event) {
	level := slog.LevelInfo
	switch e.Kind {
	case KindNodeFailed, KindNameConflict, KindPartitionSuspected, KindPartitionDetected:
		level = slog.LevelWarn
	case KindNodeUpdated, KindNodeSuspected, KindSelfDegraded:
		level = slog.LevelDebug
	}
	l := &n.toLog
	if !n.log.Enabled(backgroundCtx, level) {
		return
	}
	if !l.limit.Take(1, time.Now()) {
		l.left++
		return
	}
	args := []any{"seq", e.Seq}
	if l.left > 0 {
		args, l.left = append(args, "suppressed", l.left), 0
	}
	n.log.Log(backgroundCtx, level, loglimit.Cut(e.String()), args...)
}
