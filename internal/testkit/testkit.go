// Package testkit has what the tests of several packages of this module need and
// users do not: certificates with unusual contents, a log that tests read, the
// processor time of the process, an echo. What users need as well is in package rpctest.
package testkit

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/credentials"
)

// NewCA returns a new authority. It fails the test if there is none to have.
func NewCA(tb testing.TB) *credentials.DevCA {
	tb.Helper()
	ca, err := credentials.NewDevCA()
	if err != nil {
		tb.Fatal(err)
	}
	return ca
}

// Issue returns a certificate of ca with its key. It fails the test if ca refuses.
func Issue(tb testing.TB, ca *credentials.DevCA, l credentials.Leaf) credentials.Bundle {
	tb.Helper()
	b, err := ca.Issue(l)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// A Log keeps the lines of a logger. The zero value is empty. All methods are
// safe for concurrent use.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write keeps p.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns all lines.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Count returns how often text stands in the lines.
func (l *Log) Count(text string) int { return strings.Count(l.String(), text) }

// Logger returns a logger that writes to l in text form, from level info on.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
