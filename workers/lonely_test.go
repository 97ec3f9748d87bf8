package workers

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/cluster"
)

// TestFieldAWorkerThatNobodyWatchesSaysSo, once, with its tags and what would be
// right.
func TestFieldAWorkerThatNobodyWatchesSaysSo(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	w := &Worker{cfg: WorkerConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))}}
	w.tellLonely(cluster.Tags{"rolle": "worker"})
	if text := log.String(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, "rolle") || !strings.Contains(text, "role=worker") {
		t.Errorf("told: %q", text)
	}
	log.Reset()
	w.watched = true
	if w.tellLonely(nil); log.Len() > 0 {
		t.Errorf("a worker that is watched says %q", &log)
	}
}
