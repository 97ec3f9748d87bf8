// Package loglimit writes the log lines that a peer can cause: at a bounded
// rate, with texts of a bounded length. A line that is left out is counted, and
// the next line of its kind says how many there were.
package loglimit

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// MaxText is the length, in bytes, at which [Cut] cuts a text.
	MaxText = 512
	// PerSecond is how many lines a Limiter writes in a second, of all kinds
	// together.
	PerSecond = 10
	// PerKind is how many lines of one kind it writes in a second.
	PerKind = 2
	// maxKinds bounds the kinds that are told apart. The rest share a count, so
	// that kinds made of a peer's text cost no memory.
	maxKinds = 64
)

// A Limiter writes log lines at a bounded rate. Its methods are safe for
// concurrent use. A nil Limiter writes nothing.
type Limiter struct {
	logger *slog.Logger

	mu    sync.Mutex
	since time.Time // the second that counts
	lines int       // written in it
	kinds map[string]*kind
}

// A kind counts the lines of one key.
type kind struct {
	lines      int // written in the present second
	suppressed int // left out since the last one that was written
}

// New returns a Limiter that writes to logger.
func New(logger *slog.Logger) *Limiter {
	return &Limiter{logger: logger, kinds: map[string]*kind{}}
}

// Log writes a line, unless the second has had [PerSecond] lines, or [PerKind]
// of the same key. args are those of [slog.Logger.Log]; texts, errors and
// addresses among them are cut at [MaxText] bytes. A line that follows others
// of its key that were left out tells their number as "suppressed".
func (l *Limiter) Log(level slog.Level, key, msg string, args ...any) {
	if l == nil || !l.logger.Enabled(context.Background(), level) {
		return
	}
	suppressed, ok := l.take(key, time.Now())
	if !ok {
		return
	}
	cut := make([]any, len(args), len(args)+2)
	for i, a := range args {
		cut[i] = cutValue(a)
	}
	if suppressed > 0 {
		cut = append(cut, "suppressed", suppressed)
	}
	l.logger.Log(context.Background(), level, Cut(msg), cut...)
}

// take decides about a line of key. It returns how many lines of the key were
// left out before.
func (l *Limiter) take(key string, now time.Time) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) >= time.Second {
		l.since, l.lines = now, 0
		for name, k := range l.kinds {
			if k.lines = 0; k.suppressed == 0 {
				delete(l.kinds, name)
			}
		}
	}
	k := l.kinds[key]
	if k == nil {
		if len(l.kinds) >= maxKinds {
			key = "other"
		}
		if k = l.kinds[key]; k == nil {
			k = new(kind)
			l.kinds[key] = k
		}
	}
	if l.lines >= PerSecond || k.lines >= PerKind {
		k.suppressed++
		return 0, false
	}
	l.lines++
	k.lines++
	suppressed, k.suppressed = k.suppressed, 0
	return suppressed, true
}

// cutValue bounds one argument of a line.
func cutValue(v any) any {
	switch v := v.(type) {
	case string:
		return Cut(v)
	case slog.Attr:
		return slog.Any(v.Key, cutValue(v.Value.Any()))
	case error:
		return Cut(v.Error())
	case net.Addr: // its methods may be called from here, so that a nil one is told
		return Cut(fmt.Sprint(v))
	case fmt.Stringer:
		return Cut(fmt.Sprint(v))
	}
	return v
}

// Cut returns s, or its first [MaxText] bytes and what is missing. It cuts
// between characters.
func Cut(s string) string {
	if len(s) <= MaxText {
		return s
	}
	n := MaxText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return fmt.Sprintf("%s... (%d bytes more)", s[:n], len(s)-n)
}
