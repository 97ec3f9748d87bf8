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
		l.Log(slog.LevelWarn, "refused", "refused a connection", "from", "the last")
		time.Sleep(time.Second)
		synctest.Wait()
		if want := fmt.Sprintf("from=\"the last\" suppressed=%d", 1000-loglimit.PerKind); !strings.Contains(out.String(), want) {
			t.Errorf("no line says %q:\n%s", want, out.String())
		}
		time.Sleep(time.Hour)
		if n := strings.Count(out.String(), "\n"); n != loglimit.PerKind+1 {
			t.Errorf("%d lines, want %d and the last", n, loglimit.PerKind)
		}
	})
}

func TestLinesOfManyKindsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := loglimit.New(slog.New(slog.NewTextHandler(&out, nil)))
		defer l.Close()
		for second := range 3 {
			for i := range 5000 {
				l.Log(slog.LevelWarn, fmt.Sprint("kind ", second, i), "refused a connection")
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if n := strings.Count(out.String(), "\n"); n > 4*loglimit.PerSecond || n < 3*loglimit.PerSecond {
			t.Errorf("%d lines in 3 s, want %d for each", n, loglimit.PerSecond)
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

func TestCloseWritesWhatWasKeptBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := loglimit.New(slog.New(slog.NewTextHandler(&out, nil)))
		for i := range 9 {
			l.Log(slog.LevelWarn, "refused", "refused a connection", "n", i)
		}
		l.Close()
		l.Close()
		if !strings.Contains(out.String(), fmt.Sprintf("n=8 suppressed=%d", 8-loglimit.PerKind)) {
			t.Errorf("after Close:\n%s", out.String())
		}
		before := out.String()
		for range 9 {
			l.Log(slog.LevelWarn, "refused", "refused a connection")
		}
		during := out.String()
		time.Sleep(time.Minute)
		synctest.Wait()
		if out.String() != during || !strings.HasPrefix(during, before) {
			t.Errorf("a closed limiter writes later:\n%s", out.String())
		}
	})
}
