package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

// A library is one way to make calls, with its own defaults.
type library struct {
	name string // as in the tables
	// module is the Go module, or the crate, whose version is reported; "" is the
	// standard library.
	module string
	// crate is the folder of the program in Rust that is client and server of the
	// library, instead of serve and connector. "" is a library in Go.
	crate string
	// program is where that program is, once it is built.
	program string
	// serve starts a server on a free port of 127.0.0.1. It serves until the
	// process ends.
	serve func(certDir) (addr string, err error)
	// connector returns what dials the server at addr.
	connector func(c certDir, addr string) (connector, error)
	// workers is how many workers the server is, and so which cells it is for.
	workers int
	// json says that the library speaks JSON over HTTP, and is for cells of that alone.
	json bool
	// strategy says that this is none, but a strategy of rpcnet's, for pick alone.
	strategy bool
	// skips says why a cell is left out for this library: it cannot do it, or
	// takes too long. "" and a nil function: it is not.
	skips func(cell) (why string)
}

// isFor reports whether a cell is of the kind of work that l does.
func (l *library) isFor(c cell) bool {
	if l.strategy || c.kind == pick {
		return l.strategy && c.kind == pick
	}
	return l.workers == c.workers && l.json == c.json
}

// measures reports whether a cell is measured for l.
func (l *library) measures(c cell) bool {
	return l.isFor(c) && (l.skips == nil || l.skips(c) == "")
}

// isPeer reports whether l is the work of others. raw TLS is not: it is the floor
// of what an RPC can cost, and no RPC.
func (l *library) isPeer() bool { return l.module != rpcnetModule && l != rawTLS }

// A connector makes connections to one server: one TLS handshake each.
type connector func(context.Context) (conn, error)

// A conn is one connection to a server.
type conn interface {
	// caller returns a function that makes one unary call and checks the
	// response. It is for one goroutine.
	caller(ctx context.Context, payload []byte) func() error
	// feed makes one call that streams messages back, and gives each to f.
	feed(ctx context.Context, req feedRequest, f func(data []byte)) error
	// talk opens a stream in both directions and returns a function that sends
	// one message and waits for its echo. The stream lives as long as ctx.
	talk(ctx context.Context, payload []byte) (turn func() error, err error)
	close()
}

// A feedRequest says what a stream of messages is to be.
type feedRequest struct {
	size     int           // of each message
	duration time.Duration // of the stream
	interval time.Duration // between messages; 0: as fast as they go
}

// send runs the server's side of a feed: the same for all libraries. It sends one
// message at least.
func (r feedRequest) send(send func(data []byte) error) error {
	data := make([]byte, r.size)
	start := time.Now()
	for i := 0; ; i++ {
		if r.interval > 0 {
			time.Sleep(r.interval)
			stamp(data)
		}
		if i > 0 && (r.interval > 0 || i%16 == 0) && time.Since(start) >= r.duration {
			return nil
		}
		if err := send(data); err != nil {
			return err
		}
	}
}

// libraries are all there are, the references for ratios among them.
var libraries = append([]*library{
	rpcnetRaw, rpcnetGenerated, rpcnetInto, rpcnetBeside, grpcGo, connectGo, drpcGo, natsGo, tonicRust, rpcnetRust, netRPC, rawTLS,
	rpcnetBridge, connectJSON,
	routedOne, directOne, routedTen, directedTen, directTen, routedHundred, directHundred,
}, strategyLibraries()...)

// reference returns the library that the ratios of a cell are to.
func reference(c cell) *library {
	switch {
	case c.json:
		return connectJSON
	case c.workers == 1:
		return directOne
	case c.workers == 10:
		return directTen
	case c.workers == 100:
		return directHundred
	}
	return grpcGo
}

func findLibrary(name string) *library {
	for _, l := range libraries {
		if l.name == name {
			return l
		}
	}
	return nil
}

// version returns the version of l that this program is built with.
func (l *library) version() string {
	if l.module == "" {
		return runtime.Version()
	}
	if l.crate != "" {
		v, err := crateVersion(l.crate, l.module)
		return cmp.Or(v, fmt.Sprint(err))
	}
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		if m.Path == l.module {
			if m.Replace != nil {
				return "this tree"
			}
			return m.Version
		}
	}
	return "unknown"
}
