package bridge

import "time"

// Quicken shortens the pauses of streams.
func Quicken(b *Bridge, d time.Duration) { b.heartbeat, b.opening = d, d }

// Streams is how many streams run.
func Streams(b *Bridge) int64 { return b.streams.Load() }

// NotReady is why the bridge is not ready.
func NotReady(b *Bridge) error { return b.notReady() }

// ParseTokens parses a file of tokens.
func ParseTokens(b []byte) (int, error) {
	list, err := parseTokens(b)
	return len(list), err
}

// LimitConns limits the connections of a bridge on an endpoint.
func LimitConns(b *Bridge, n int) { b.served.Load().max = n }

// Conns is how many connections there are.
func Conns(b *Bridge) int {
	s := b.served.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}
