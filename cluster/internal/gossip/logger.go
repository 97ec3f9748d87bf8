package gossip

import (
	"log"
	"log/slog"
	"strings"

	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// Hooks are told what memberlist writes to its log and nowhere else.
type Hooks struct {
	// ProbeFailed: this node's own probe of a member failed, directly, through
	// others and over a stream.
	ProbeFailed func(id string)
	// PacketsLost: a member answered over a stream and not by packets.
	PacketsLost func(id string)
	// Quiet reports whether the node leaves or has stopped, when nothing that
	// memberlist fails at matters any more.
	Quiet func() bool
}

// NewLogger returns a logger for memberlist, which knows only the standard
// library's log and writes its levels into the text. Its lines go to l at
// Debug, warnings and errors at Info unless the node is quiet: most of them are the ordinary noise of
// members that come and go, and what matters is told by events. Since peers can
// cause most of them, they go through l's limit.
func NewLogger(l *loglimit.Limiter, h Hooks) *log.Logger {
	return log.New(&logWriter{l, h}, "", 0)
}

type logWriter struct {
	log   *loglimit.Limiter
	hooks Hooks
}

// Write takes one line.
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
	}
	w.log.Log(level, "memberlist: "+kindOf(text), text, "source", "memberlist")
	return len(b), nil
}

// kindOf returns the first words of a line, up to the first that may be of a
// peer: all before a digit, a quote or a punctuation mark.
func kindOf(line string) string {
	if i := strings.IndexAny(line, "0123456789'\":(@["); i >= 0 {
		return line[:i]
	}
	return line[:min(len(line), 64)]
}

func between(s, before, after string) (string, bool) {
	if !strings.HasPrefix(s, before) {
		return "", false
	}
	mid, _, ok := strings.Cut(s[len(before):], after)
	return mid, ok
}
