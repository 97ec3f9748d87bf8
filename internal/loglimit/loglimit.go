// Package loglimit writes the log lines that a peer can cause: at a bounded
// rate, with texts of a bounded length. Lines that are left out are counted, and
// the last of a kind is written a little later, with their number.
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
// concurrent use. A nil Limiter writes nothing. It has no goroutine, but for the
// moment in which it writes what it has kept back: at the end of a second, and no
// more once Close has returned.
type Limiter struct {
	logger  *slog.Logger
	flushes sync.WaitGroup // planned, or running

	mu     sync.Mutex
	since  time.Time // the second that counts
	lines  int       // written in it
	kinds  map[string]*kind
	next   *time.Timer // of the planned flush, nil if there is none
	closed bool
}

// A kind counts the lines of one key.
type kind struct {
	lines      int  // written in the present second
	suppressed int  // left out since the last one that was written
	last       line // of those that were left out
}

// A line is what is to be written, texts cut.
type line struct {
	level slog.Level
	msg   string
	args  []any
}

// New returns a Limiter that writes to logger.
func New(logger *slog.Logger) *Limiter {
	return &Limiter{logger: logger, kinds: map[string]*kind{}}
}

// Log writes a line, unless the second has had [PerSecond] lines, or [PerKind]
// of the same key. args are those of [slog.Logger.Log]; texts, errors and
// addresses among them are cut at [MaxText] bytes. Of the lines of a key that
// were left out the last is written when the second is over, with the number of
// the others as "suppressed".
func (l *Limiter) Log(level slog.Level, key, msg string, args ...any) {
	if l == nil || !l.logger.Enabled(context.Background(), level) {
		return
	}
	cut := make([]any, len(args), len(args)+2)
	for i, a := range args {
		cut[i] = cutValue(a)
	}
	x := line{level, Cut(msg), cut}
	if l.take(key, x, time.Now()) {
		l.write(x)
	}
}

func (l *Limiter) write(x line) { l.logger.Log(context.Background(), x.level, x.msg, x.args...) }

// take decides about a line of key, and keeps it if it is not to be written.
func (l *Limiter) take(key string, x line, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance(now)
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
	if k.suppressed == 0 && l.lines < PerSecond && k.lines < PerKind {
		l.lines++
		k.lines++
		return true
	}
	k.suppressed++
	k.last = x
	l.plan(l.since.Add(time.Second).Sub(now))
	return false
}

// plan has flush come after d, if it does not come already. The caller holds mu.
func (l *Limiter) plan(d time.Duration) {
	if l.next == nil && !l.closed {
		l.flushes.Add(1)
		l.next = time.AfterFunc(d, func() {
			defer l.flushes.Done()
			l.flush()
		})
	}
}

// Close writes what was kept back. Afterwards lines that are over the limit are
// lost.
func (l *Limiter) Close() {
	l.mu.Lock()
	l.closed = true
	planned := l.next != nil && l.next.Stop()
	l.mu.Unlock()
	if planned {
		l.flush()
		l.flushes.Done()
	}
	l.flushes.Wait()
}

// advance begins a new second if the present one is over. The caller holds mu.
func (l *Limiter) advance(now time.Time) {
	if now.Sub(l.since) < time.Second {
		return
	}
	l.since, l.lines = now, 0
	for name, k := range l.kinds {
		if k.lines = 0; k.suppressed == 0 {
			delete(l.kinds, name)
		}
	}
}

// flush writes the last line of each kind that has left some out, as far as the
// new second allows, and comes again if some are left.
func (l *Limiter) flush() {
	var lines []line
	l.mu.Lock()
	l.advance(time.Now())
	l.next = nil
	for _, k := range l.kinds {
		if k.suppressed == 0 {
			continue
		}
		if l.lines >= PerSecond {
			l.plan(time.Second)
			continue
		}
		if k.suppressed > 1 {
			k.last.args = append(k.last.args, "suppressed", k.suppressed-1)
		}
		lines = append(lines, k.last)
		l.lines++
		k.lines++
		k.suppressed, k.last = 0, line{}
	}
	l.mu.Unlock()
	for _, x := range lines {
		l.write(x)
	}
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
