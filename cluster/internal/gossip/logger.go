package gossip

import (
	"log"
	"log/slog"
	"strings"

	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// Hooks are called for what memberlist reports in its log and nowhere else. They are
// called on memberlist's goroutines, and must not block.
type Hooks struct {
	// ProbeFailed is called when this node's own probe of a member has failed:
	// directly, through others and over a stream.
	ProbeFailed func(id string)
	// PacketsLost is called when a member has answered over a stream, and not by
	// packets.
	PacketsLost func(id string)
	// Quiet reports whether the node leaves or has stopped. Failures of memberlist
	// are then of no interest.
	Quiet func() bool
}

// NewLogger returns a logger for memberlist, which knows only the standard library's
// log and writes its levels into the text. Its lines go to l at Debug, warnings and
// errors at Info unless the node is quiet: most of them are the ordinary noise of
// members that come and go, and events report what matters. Peers can cause most of
// the lines: they go through l's limit.
func NewLogger(l *loglimit.Limiter, h Hooks) *log.Logger {
	return log.New(&logWriter{l, h}, "", 0)
}

// A logWriter turns the lines of the standard library's log into those of slog.
type logWriter struct {
	log   *loglimit.Limiter
	hooks Hooks
}

// Write takes one line, of the form "[LEVEL] memberlist: text". Two texts are reports
// that memberlist gives nowhere else. If a version of memberlist changes them, the
// tests of this package fail.
func (w *logWriter) Write(b []byte) (int, error) {
	line := strings.TrimSuffix(string(b), "\n")
	level, text := slog.LevelDebug, line
	if strings.HasPrefix(line, "[") {
		if tag, rest, ok := strings.Cut(line[1:], "] "); ok {
			text = rest
			switch tag {
			case "WARN", "ERR", "ERROR":
				if !w.hooks.Quiet() {
					level = slog.LevelInfo
				}
			}
		}
	}
	text = strings.TrimPrefix(text, "memberlist: ")
	if id, ok := between(text, "Suspect ", " has failed, no acks received"); ok {
		w.hooks.ProbeFailed(id)
		level = slog.LevelDebug
	} else if id, ok := between(text, "Was able to connect to ", " over TCP but UDP probes failed"); ok {
		w.hooks.PacketsLost(id)
		level = slog.LevelDebug
	} else if strings.Contains(text, errBlind.Error()) { // this node's own choice
		level = slog.LevelDebug
	}
	w.log.Log(level, "memberlist: "+kindOf(text), text, "source", "memberlist")
	return len(b), nil
}

// kindOf returns the first words of a line, by which the limit tells lines apart: all
// before a digit, a quote or a punctuation mark, where the texts of peers begin.
func kindOf(line string) string {
	if i := strings.IndexAny(line, "0123456789'\":(@["); i >= 0 {
		return line[:i]
	}
	return line[:min(len(line), 64)]
}

// between returns what stands in s between before, its beginning, and after.
func between(s, before, after string) (string, bool) {
	if !strings.HasPrefix(s, before) {
		return "", false
	}
	mid, _, ok := strings.Cut(s[len(before):], after)
	return mid, ok
}
