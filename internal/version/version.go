// Package version says which version of the library a program has, and which
// versions of the protocol that library speaks. The command "rpcnet version" prints
// both. A report of a fault should have them.
package version

import (
	"runtime/debug"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// Library is the version of this code. It ends in "-dev" until it is released;
// CONTRIBUTING.md has the steps.
const Library = "0.1.0-dev"

// The versions of the protocol. docs/protocol.md says what may change within
// each.
const (
	// ALPN is the name of the protocol in TLS handshakes.
	ALPN = "rpcnet/1"
	// Frames is the version of the frames of calls, which SETTINGS carries. Two sides
	// with different ones refuse each other.
	Frames = wire.Version
	// Gossip is the version of what a node says of itself to all. It is the first
	// byte of that.
	Gossip = 1
)

// module is the path of the library's module.
const module = "github.com/rpcnet-go/rpcnet"

// An Info is the version of the library in a program.
type Info struct {
	Version  string // "v0.1.0" as a module, or the constant Library in a clone
	Commit   string // of the clone that the program was built in; "" if unknown
	Modified bool   // the clone had changes that were not committed
}

// Read returns the Info of this program, from what the Go command has written into
// the binary. A binary without that has the version Library.
func Read() Info {
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return Info{Version: Library}
	}
	return read(b)
}

// read returns the Info in what the Go command has written. The library is the main
// module of its own tests, and a dependency of every other program; the command
// rpcnet is of another module.
func read(b *debug.BuildInfo) Info {
	v := Info{Version: Library}
	for _, m := range append(b.Deps, &b.Main) {
		if m.Path != module {
			continue
		}
		if m.Replace != nil {
			m = m.Replace // by a folder: its version is empty
		}
		// "(devel)" stands for a build in a folder without a version: the constant
		// says more.
		if m.Version != "" && m.Version != "(devel)" {
			v.Version = m.Version
		}
	}
	for _, s := range b.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
