// Package logging makes the loggers of the example's programs.
package logging

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/lmittmann/tint"
)

// New returns a logger whose lines carry time, level, the message to the letter
// (slog's own text handler would quote it) and the attributes. They are
// coloured on a terminal, unless NO_COLOR is set (https://no-color.org).
func New(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: "15:04:05.000", NoColor: !Colour(w)}))
}

// Colour reports whether colour suits w: a terminal, and NO_COLOR is unset.
func Colour(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// ParseLevel reads debug, info, warn or error, in any case.
func ParseLevel(s string) (slog.Level, error) {
	switch strings.ToLower(s) {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, errors.New("want debug, info, warn or error")
}

// ParseRustLog reads the plain level of a list of directives as Rust's
// env_logger takes it, such as "info" in "info,rpcnet=debug".
func ParseRustLog(s string) (slog.Level, error) {
	for directive := range strings.SplitSeq(s, ",") {
		directive = strings.TrimSpace(directive)
		if strings.EqualFold(directive, "trace") {
			return slog.LevelDebug, nil
		}
		if l, err := ParseLevel(directive); err == nil {
			return l, nil
		}
	}
	return 0, errors.New("no plain level among the directives")
}
