package program

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestExitStatus(t *testing.T) {
	t.Parallel()
	wrong := errors.New("wrong")
	for _, c := range []struct {
		name   string
		args   []string
		env    map[string]string
		err    error // of the program
		status int
		says   string // on standard error
	}{
		{"success", nil, nil, nil, 0, ""},
		{"failure", nil, nil, wrong, 1, "thing: wrong\n"},
		{"wrong configuration found by the program", nil, nil, ConfigError{wrong}, 2, "thing: wrong\n"},
		{"wrong variables", nil, map[string]string{"DIRECTOR_ADDR": "x", "LOG_LEVEL": "y"}, nil, 2, "thing: DIRECTOR_ADDR=\"x\": want host:port, such as 127.0.0.1:61000\nthing: LOG_LEVEL=\"y\": want debug, info, warn or error\n"},
		{"arguments", []string{"now"}, nil, nil, 2, "thing: unexpected argument \"now\": environment variables configure it, see thing -h\n"},
	} {
		var out, errs bytes.Buffer
		lookup := func(name string) (string, bool) { s, ok := c.env[name]; return s, ok }
		status := New("thing", "does things.", "whom to ask", "test").main(c.args, lookup, &out, &errs, func(context.Context, *slog.Logger) error { return c.err })
		if status != c.status || errs.String() != c.says || out.Len() != 0 {
			t.Errorf("%s: status %d, %q, %q, want %d, %q", c.name, status, errs.String(), out.String(), c.status, c.says)
		}
	}
}

func TestHelpListsTheVariables(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{"-h", "--help", "help"} {
		var out, errs bytes.Buffer
		status := New("thing", "does things.", "whom to ask", "test").main([]string{arg}, func(string) (string, bool) { return "", false }, &out, &errs, nil)
		if status != 0 || errs.Len() != 0 {
			t.Errorf("%s: status %d, %q", arg, status, errs.String())
		}
		for _, want := range []string{"DIRECTOR_ADDR", "127.0.0.1:61000", "whom to ask", "CERT_DIR", "LOG_LEVEL"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %s in\n%s", arg, want, out.String())
			}
		}
	}
}

func TestLogLevelWinsOverRustLog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env   map[string]string
		level slog.Level
	}{
		{nil, slog.LevelInfo},
		{map[string]string{"RUST_LOG": "rpcnet=trace,warn"}, slog.LevelWarn},
		{map[string]string{"RUST_LOG": "rpcnet=trace"}, slog.LevelInfo},
		{map[string]string{"RUST_LOG": "warn", "LOG_LEVEL": "error"}, slog.LevelError},
	} {
		var out, errs bytes.Buffer
		lookup := func(name string) (string, bool) { s, ok := c.env[name]; return s, ok }
		New("thing", "", "", "test").main(nil, lookup, &out, &errs, func(ctx context.Context, log *slog.Logger) error {
			if !log.Enabled(ctx, c.level) || log.Enabled(ctx, c.level-1) {
				t.Errorf("%v: the level is not %v", c.env, c.level)
			}
			return nil
		})
	}
}
