// Package loglimit writes the log lines that a peer can cause. It bounds their
// rate and the length of the texts in them, so that a peer cannot fill a disk or
// hide other lines. It counts the lines that it leaves out, and writes the last
// one of each kind up to a second later with that count.
//
// Each endpoint, server, node and registry has one Limiter, whose limits hold for all
// peers together. Limits for each peer would not do: an attacker can have many
// certificates, and the disk fills up all the same.
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
	// PerSecond is how many lines of all kinds together a Limiter writes in a
	// second. At 600 bytes a line that is some 500 MB a day.
	PerSecond = 10
	// PerKind is how many lines of one kind it writes in a second, so that one
	// kind leaves room for others.
	PerKind = 2
	// maxKinds bounds the kinds that are counted separately. All further kinds
	// share one count, so that keys made of a peer's text use no memory.
	maxKinds = 64
)

// A Limiter writes log lines at a bounded rate. A nil Limiter writes nothing.
//
// Its methods are safe for concurrent use. A timer's goroutine writes the lines
// that were kept back at the end of a second; none runs after Close has returned.
type Limiter struct {
	logger  *slog.Logger
	flushes sync.WaitGroup // flushes that are planned or running

	mu     sync.Mutex // guards the fields below; not held while writing
	since  time.Time  // start of the present second
	lines  int        // written in the present second
	kinds  map[string]*kind
	next   *time.Timer // of the planned flush; nil if none is planned
	closed bool
}

// A kind counts the lines of one key.
type kind struct {
	lines      int  // written in the present second
	suppressed int  // left out since the last written one
	last       line // the last one that was left out; the zero line if there is none
}

// A line is one log line. Its texts are cut already.
type line struct {
	level slog.Level
	msg   string
	args  []any
}

// New returns a Limiter that writes to logger. Close it when done, so that the lines
// that it keeps back are not lost.
func New(logger *slog.Logger) *Limiter {
	return &Limiter{logger: logger, kinds: map[string]*kind{}}
}

// Log writes a line, unless this second has had [PerSecond] lines, or [PerKind]
// lines of the same key. The last line of a key that was left out is written when
// the second is over, with the number of the others as "suppressed".
//
// args are those of [slog.Logger.Log]. Texts, errors and addresses among them
// are cut at [MaxText] bytes. key names the kind of line and should be a constant.
func (l *Limiter) Log(level slog.Level, key, msg string, args ...any) {
	if l == nil || !l.logger.Enabled(context.Background(), level) {
		return
	}
	// The arguments are cut, and so copied, before the line can be kept back: those
	// of the caller may refer to a buffer that is used again. There is room for
	// "suppressed" and its value.
	cut := make([]any, len(args), len(args)+2)
	for i, a := range args {
		cut[i] = cutValue(a)
	}
	x := line{level, Cut(msg), cut}
	if l.take(key, x, time.Now()) {
		l.write(x)
	}
}

// write writes a line. The caller does not hold mu, since a handler may block.
func (l *Limiter) write(x line) { l.logger.Log(context.Background(), x.level, x.msg, x.args...) }

// take reports whether a line of key is to be written now. If not, it keeps the
// line and plans a flush.
func (l *Limiter) take(key string, x line, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance(now)
	k := l.kinds[key]
	if k == nil {
		// "other" itself is one kind more than maxKinds.
		if len(l.kinds) >= maxKinds {
			key = "other"
		}
		if k = l.kinds[key]; k == nil {
			k = new(kind)
			l.kinds[key] = k
		}
	}
	// A line behind one that was left out waits as well, which keeps the order.
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

// plan makes flush run after d, unless a flush is planned already. The caller
// holds mu. A closed Limiter plans none: Close could not wait for it.
func (l *Limiter) plan(d time.Duration) {
	if l.next == nil && !l.closed {
		l.flushes.Add(1)
		l.next = time.AfterFunc(d, func() {
			defer l.flushes.Done()
			l.flush()
		})
	}
}

// Close writes the lines that were kept back and waits for a running flush.
// Later lines are still written, but those over the limit are lost. It is
// idempotent.
func (l *Limiter) Close() {
	l.mu.Lock()
	l.closed = true
	planned := l.next != nil && l.next.Stop() // a flush that runs already writes by itself
	l.mu.Unlock()
	if planned {
		l.flush()
		l.flushes.Done()
	}
	l.flushes.Wait()
}

// advance begins a new second if the present one is over, and removes kinds that
// have nothing to report. The caller holds mu. Kinds with lines that were left out
// stay, because flush has to write their last one.
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

// flush writes the last line of each kind that has left lines out. If there are
// more than PerSecond, it plans another flush for the rest. These lines count in
// the present second as others do.
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
		// The line that is written is one of those that were left out, so it does not
		// count itself.
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

// cutValue bounds one argument of a line. Errors and Stringers become their text, as
// a handler would make it, because that text can be a peer's. Keys, numbers, times
// and the like stay as they are: their length has a bound.
func cutValue(v any) any {
	switch v := v.(type) {
	case string:
		return Cut(v)
	case slog.Attr:
		return slog.Any(v.Key, cutValue(v.Value.Any()))
	case error:
		return Cut(v.Error())
	case net.Addr: // fmt recovers from the panic of a nil one
		return Cut(fmt.Sprint(v))
	case fmt.Stringer:
		return Cut(fmt.Sprint(v))
	}
	return v
}

// Cut returns s if it has at most [MaxText] bytes. Otherwise it returns about that
// many bytes and how many are missing. It cuts between characters, so that text in
// UTF-8 stays so.
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
