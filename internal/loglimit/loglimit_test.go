package loglimit_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

func TestLinesOfOneKindAreLimitedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := loglimit.New(slog.New(slog.NewTextHandler(&out, nil)))
		for range 1000 {
			l.Log(slog.LevelWarn, "refused", "refused a connection")
		}
		if n := strings.Count(out.String(), "\n"); n != loglimit.PerKind {
			t.Errorf("%d lines, want %d", n, loglimit.PerKind)
		}
		time.Sleep(time.Second)
		l.Log(slog.LevelWarn, "refused", "refused a connection")
		if want := fmt.Sprintf("suppressed=%d", 1000-loglimit.PerKind); !strings.Contains(out.String(), want) {
			t.Errorf("the line does not say %q:\n%s", want, out.String())
		}
	})
}

func TestLinesOfManyKindsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := loglimit.New(slog.New(slog.NewTextHandler(&out, nil)))
		for second := range 3 {
			for i := range 5000 {
				l.Log(slog.LevelWarn, fmt.Sprint("kind ", second, i), "refused a connection")
			}
			time.Sleep(time.Second)
		}
		if n := strings.Count(out.String(), "\n"); n != 3*loglimit.PerSecond {
			t.Errorf("%d lines in 3 s, want %d", n, 3*loglimit.PerSecond)
		}
	})
}

func TestTextsAreCut(t *testing.T) {
	var out bytes.Buffer
	l := loglimit.New(slog.New(slog.NewTextHandler(&out, nil)))
	long := strings.Repeat("x", 30_000)
	l.Log(slog.LevelWarn, "a", "refused", "name", long, "err", errors.New(long), slog.String("attr", long))
	if n := out.Len(); n > 4*loglimit.MaxText {
		t.Errorf("a line of %d bytes", n)
	}
	if s := loglimit.Cut(strings.Repeat("ä", 600)); !utf8.ValidString(s) || len(s) > loglimit.MaxText+40 {
		t.Errorf("cut to %d bytes, valid %v", len(s), utf8.ValidString(s))
	}
	if s := loglimit.Cut("short"); s != "short" {
		t.Errorf("%q", s)
	}
}
