package logging_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/logging"
)

func TestMessagesArePrintedToTheLetterWithoutColour(t *testing.T) {
	t.Parallel()
	for _, message := range []string{
		`🎯 Starting Director at 127.0.0.1:61000`,
		`📁 Loading certificates from "certs/test_cert.pem" and "certs/test_key.pem"`,
		`   - worker-a at 127.0.0.1:62001 (0 connections)`,
		`📦 received token (sequence=1, text="token-1", total=1)`,
		`⚠️  No workers available`,
	} {
		var b bytes.Buffer
		logging.New(&b, slog.LevelInfo).Info(message, "worker", "worker-a", "error", "two words")
		if line := b.String(); !strings.Contains(line, " INF "+message+` worker=worker-a error="two words"`+"\n") || strings.Contains(line, "\x1b") {
			t.Errorf("line %q", line)
		}
	}
}

func TestLinesBelowTheLevelAreLeftOut(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := logging.New(&b, slog.LevelWarn)
	log.Info("no")
	log.Warn("yes")
	if s := b.String(); strings.Contains(s, "no") || !strings.Contains(s, "WRN yes") {
		t.Errorf("%q", s)
	}
}

func TestParseLevel(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]slog.Level{"debug": slog.LevelDebug, "INFO": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError} {
		if l, err := logging.ParseLevel(s); err != nil || l != want {
			t.Errorf("%q: %v, %v", s, l, err)
		}
	}
	if _, err := logging.ParseLevel("loud"); err == nil || !strings.Contains(err.Error(), "debug, info, warn or error") {
		t.Errorf("error %v", err)
	}
}

func TestParseRustLogTakesThePlainLevel(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]slog.Level{
		"debug": slog.LevelDebug, "trace": slog.LevelDebug, "rpcnet=debug,warn": slog.LevelWarn, "info, a::b=trace": slog.LevelInfo,
	} {
		if l, err := logging.ParseRustLog(s); err != nil || l != want {
			t.Errorf("%q: %v, %v", s, l, err)
		}
	}
	for _, s := range []string{"", "rpcnet=debug", "off"} {
		if l, err := logging.ParseRustLog(s); err == nil {
			t.Errorf("%q: %v, want an error", s, l)
		}
	}
}
