package main

import (
	"fmt"
	"slices"
)

// The kinds of measurement.
const (
	unary       = "unary"        // one request, one response, in a closed loop of callers
	feed        = "feed"         // server streaming, as fast as it goes
	paced       = "paced"        // server streaming, a message each millisecond and stream
	talk        = "talk"         // ping-pong on one stream
	handshake   = "handshake"    // connect, one call, close
	idleSession = "idle session" // memory of a connection that does nothing
	idleStream  = "idle stream"  // memory of a stream that does nothing
	pick        = "pick"         // choosing one of many workers, without a network
)

// A cell is one measurement, of each library.
type cell struct {
	kind    string
	size    int // of a message in bytes
	callers int // goroutines that call, of unary
	streams int // streams at a time, of feed, paced and talk; of idleStream one more each time
	conns   int // connections that the callers are spread over, of unary; 0: one for all
	workers int // servers that the calls go to, of unary, 0: one that is no worker; of pick those to choose among
	// oneCore has client and server share one core, see onOneCore.
	oneCore bool
	// json has the messages in JSON over HTTP/2.
	json bool
}

// name is what the tables call the cell.
func (c cell) name() string {
	if c.json {
		c.json = false
		return "JSON " + c.name()
	}
	switch c.kind {
	case unary:
		name := fmt.Sprintf("unary %s, %s", bytesName(c.size), count(c.callers, "caller"))
		if c.conns > 0 {
			name += " over " + count(c.conns, "connection")
		}
		if c.workers > 0 {
			name += " over " + count(c.workers, "worker")
		}
		if c.oneCore {
			name += ", one core"
		}
		return name
	case feed:
		return fmt.Sprintf("server streaming %s, %s", bytesName(c.size), count(c.streams, "stream"))
	case paced:
		return fmt.Sprintf("a message each ms, %s", count(c.streams, "stream"))
	case talk:
		return fmt.Sprintf("ping-pong %s, %s", bytesName(c.size), count(c.streams, "stream"))
	case pick:
		return "a pick among " + count(c.workers, "worker")
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
	mebibyteEcho    = unaryCell(1<<20, 1)
	manyConnections = cell{kind: unary, size: 32, callers: 64, conns: 64}
	oneStream       = cell{kind: feed, size: 32, streams: 1}
	hundredStreams  = cell{kind: feed, size: 32, streams: 100}
	manyStreams     = cell{kind: feed, size: 32, streams: 10_000}
	pingPong        = cell{kind: talk, size: 32, streams: 1}
	pacedStreams    = cell{kind: paced, size: 32, streams: 100}
	connecting      = cell{kind: handshake, size: 32, callers: 1}
	sessionMemory   = cell{kind: idleSession, size: 32, callers: 1}
	streamMemory    = cell{kind: idleStream, size: 32, streams: 1}
	jsonOne         = cell{kind: unary, size: 32, callers: 1, json: true}
	jsonMany        = cell{kind: unary, size: 32, callers: 64, json: true}
	jsonStreams     = cell{kind: feed, size: 32, streams: 100, json: true}
	// Those that show what a bridge costs direct calls. One caller is on one core,
	// where two runs agree best.
	besideOne  = cell{kind: unary, size: 32, callers: 1, oneCore: true}
	besideMany = unaryCell(32, 64)
)

func unaryCell(size, callers int) cell { return cell{kind: unary, size: size, callers: callers} }

// unaryCells returns a cell for each size and number of callers.
func unaryCells(sizes, callers []int) []cell {
	var all []cell
	for _, s := range sizes {
		for _, n := range callers {
			all = append(all, unaryCell(s, n))
		}
	}
	return all
}

// unarySizes are the sizes of messages that have a table of unary calls.
var unarySizes = []int{32, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 256 << 10, 1 << 20}

// oneCallerSizes are the sizes that one caller's calls are measured of on one core.
var oneCallerSizes = unarySizes[:slices.Index(unarySizes, 64<<10)+1]

// workerCounts are how many workers calls are routed over.
var workerCounts = []int{1, 10, 100}

// fullCells returns everything that is measured. Three sizes have many numbers
// of callers, the others the two that tell most: one, and 64.
func fullCells() []cell {
	var all []cell
	for _, s := range unarySizes {
		switch s {
		case 32, 1 << 10, 64 << 10:
			all = append(all, unaryCells([]int{s}, []int{1, 16, 64, 256, 1000})...)
		case 1 << 20:
			all = append(all, mebibyteEcho)
		default:
			all = append(all, unaryCells([]int{s}, []int{1, 64})...)
		}
	}
	all = append(all, oneCoreCells()...)
	for _, n := range workerCounts {
		all = append(all, routedCells(n)...)
	}
	all = append(all, pickCells()...)
	return append(all, otherCells()...)
}

// oneCoreCells returns the calls of one caller with client and server on one core.
func oneCoreCells() []cell {
	all := unaryCells(oneCallerSizes, []int{1})
	for i := range all {
		all[i].oneCore = true
	}
	return all
}

// otherCells returns the cells that are not plain unary calls.
func otherCells() []cell {
	return []cell{
		manyConnections, oneStream, hundredStreams, manyStreams, pingPong, pacedStreams,
		connecting, sessionMemory, streamMemory, jsonOne, jsonMany, jsonStreams,
	}
}

// quickCells returns the main rows.
func quickCells() []cell {
	all := unaryCells([]int{32, 1 << 10, 64 << 10}, []int{1, 64})
	all = append(all, unaryCell(4<<10, 64), mebibyteEcho, oneStream)
	return append(all, routedCells(10)...)
}
