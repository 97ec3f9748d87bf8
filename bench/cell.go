package main

import "fmt"

// The kinds of measurement.
const (
	unary       = "unary"        // one request, one response, in a closed loop of callers
	feed        = "feed"         // server streaming, as fast as it goes
	paced       = "paced"        // server streaming, a message each millisecond and stream
	talk        = "talk"         // ping-pong on one stream
	handshake   = "handshake"    // connect, one call, close
	idleSession = "idle session" // memory of a connection that does nothing
	idleStream  = "idle stream"  // memory of a stream that does nothing
)

// A cell is one measurement, of each library.
type cell struct {
	kind    string
	size    int // of a message in bytes
	callers int // goroutines that call, of unary
	streams int // streams at a time, of feed, paced and talk; of idleStream one more each time
}

// name is what the tables call the cell.
func (c cell) name() string {
	switch c.kind {
	case unary:
		return fmt.Sprintf("unary %s, %s", bytesName(c.size), count(c.callers, "caller"))
	case feed:
		return fmt.Sprintf("server streaming %s, %s", bytesName(c.size), count(c.streams, "stream"))
	case paced:
		return fmt.Sprintf("a message each ms, %s", count(c.streams, "stream"))
	case talk:
		return fmt.Sprintf("ping-pong %s, %s", bytesName(c.size), count(c.streams, "stream"))
	}
	return c.kind
}

// ofMemory reports whether the cell is of memory, not of speed.
func (c cell) ofMemory() bool { return c.kind == idleSession || c.kind == idleStream }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func bytesName(n int) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}

var (
	sizes        = []int{32, 1 << 10, 64 << 10}
	callerCounts = []int{1, 16, 64, 256, 1000}

	oneStream       = cell{kind: feed, size: 32, streams: 1}
	hundredStreams  = cell{kind: feed, size: 32, streams: 100}
	mebibyteEcho    = cell{kind: unary, size: 1 << 20, callers: 1}
	pingPong        = cell{kind: talk, size: 32, streams: 1}
	pacedStreams    = cell{kind: paced, size: 32, streams: 100}
	connecting      = cell{kind: handshake, size: 32, callers: 1}
	sessionMemory   = cell{kind: idleSession, size: 32, callers: 1}
	streamMemory    = cell{kind: idleStream, size: 32, streams: 1}
	otherCells      = []cell{mebibyteEcho, oneStream, hundredStreams, pingPong, pacedStreams, connecting, sessionMemory, streamMemory}
	quickCallers    = []int{1, 64}
	quickOtherCells = []cell{mebibyteEcho, oneStream}
)

func unaryCell(size, callers int) cell { return cell{kind: unary, size: size, callers: callers} }

// cells returns what is measured: everything, or the main rows.
func cells(quick bool) []cell {
	callers, rest := callerCounts, otherCells
	if quick {
		callers, rest = quickCallers, quickOtherCells
	}
	var all []cell
	for _, s := range sizes {
		for _, n := range callers {
			all = append(all, unaryCell(s, n))
		}
	}
	return append(all, rest...)
}
