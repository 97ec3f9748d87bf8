package gossip

import (
	"context"
	"log"
	"log/slog"
	"strings"
)

// Hooks are told what memberlist writes to its log and nowhere else.
type Hooks struct {
	// ProbeFailed: this node's own probe of a member failed, directly, through
	// others and over a stream.
	ProbeFailed func(id string)
	// PacketsLost: a member answered over a stream and not by packets.
	PacketsLost func(id string)
}

// NewLogger returns a logger for memberlist, which knows only the standard
// library's log and writes its levels into the text. Its lines go to l at
// Debug, warnings and errors at Info: most of them are the ordinary noise of
// members that come and go, and what matters is told by events.
func NewLogger(l *slog.Logger, h Hooks) *log.Logger {
	return log.New(&logWriter{l, h}, "", 0)
}

type logWriter struct {
	log   *slog.Logger
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
				level = slog.LevelInfo
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
	w.log.Log(context.Background(), level, text, "source", "memberlist")
	return len(b), nil
}

func between(s, before, after string) (string, bool) {
	if !strings.HasPrefix(s, before) {
		return "", false
	}
	mid, _, ok := strings.Cut(s[len(before):], after)
	return mid, ok
}
