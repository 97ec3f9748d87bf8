package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
)

// A logbook is a handler that keeps the lines, as text and with their "seq", and
// takes its time for each.
type logbook struct {
	mu    sync.Mutex
	lines []string
	seqs  []uint64
	slow  time.Duration
}

func (b *logbook) Enabled(context.Context, slog.Level) bool { return true }
func (b *logbook) WithAttrs([]slog.Attr) slog.Handler       { return b }
func (b *logbook) WithGroup(string) slog.Handler            { return b }

func (b *logbook) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	seq := uint64(0)
	r.Attrs(func(a slog.Attr) bool {
		line += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		if a.Key == "seq" {
			seq = a.Value.Uint64()
		}
		return true
	})
	if b.slow > 0 && seq%3 == 0 {
		time.Sleep(b.slow)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, line)
	if seq > 0 {
		b.seqs = append(b.seqs, seq)
	}
	return nil
}

func (b *logbook) since(n int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.lines[n:])
}

func TestFieldEventsAreLoggedInOrder(t *testing.T) {
	t.Parallel()
	book := &logbook{slow: 200 * time.Microsecond}
	h := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "a", Logger: slog.New(book)})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 100 {
				if err := h.Node.SetTags(cluster.Tags{"n": fmt.Sprint(i, j)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	h.Node.Close()
	book.mu.Lock()
	defer book.mu.Unlock()
	if len(book.seqs) < 400 || !slices.IsSorted(book.seqs) {
		t.Errorf("%d events were logged as %v", len(book.seqs), book.seqs)
	}
}

// While a node leaves, others that have not heard of it may still suspect it, and
// it refutes them: that is no news for whoever reads its log.
func TestFieldAShutdownIsQuiet(t *testing.T) {
	t.Parallel()
	book := &logbook{}
	h, _ := attacked(t, cluster.Config{Logger: slog.New(book), LeaveDelay: 500 * time.Millisecond})
	other := newAttacker(t, listen(t, "127.0.0.1:0"), h, "other@1")
	before := len(book.since(0))
	left := make(chan error, 1)
	go func() { left <- h.Node.Leave(t.Context()) }()
	eventually(t, func() error {
		if state := h.Node.Self().State; state != cluster.StateLeaving {
			return fmt.Errorf("the node is %v", state)
		}
		return nil
	})
	memberlists := func() (lines []string) {
		return slices.DeleteFunc(book.since(before), func(l string) bool { return !strings.Contains(l, "source=memberlist") })
	}
	eventually(t, func() error {
		select {
		case err := <-left:
			left <- err
			return nil
		default:
		}
		if err := other.tell(pack(3, "Incarnation", 1000, "Node", h.Node.Self().ID(), "From", other.id)); err != nil {
			return err
		}
		return errNotYet
	})
	if err := <-left; err != nil {
		t.Error(err)
	}
	lines := memberlists()
	if len(lines) == 0 {
		t.Error("memberlist has said nothing, which proves nothing")
	}
	for _, l := range lines {
		if !strings.HasPrefix(l, "DEBUG") {
			t.Error(l)
		}
	}
}
