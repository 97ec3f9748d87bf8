package main

// tonicRust is tonic, gRPC in Rust, with the code that prost generates. Its
// client and its server are a program of ours in Rust, which cargo builds.
var tonicRust = &library{
	name: "tonic", module: "tonic", crate: "peers/tonic",
	skips: func(c cell) string {
		switch {
		case c.ofMemory():
			return "its memory is not that of a Go heap"
		case c.kind == paced:
			return "its program does not stamp messages"
		case c.streams > 200:
			return "200 streams at most on a connection"
		}
		return ""
	},
}
