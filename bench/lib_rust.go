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

// rpcnetRust is rpcnet for Rust, bytes in, bytes out, over QUIC. Its server asks
// its clients for no certificate.
var rpcnetRust = &library{
	name: "jsam/rpcnet", module: "rpcnet", crate: "peers/jsam-rpcnet",
	skips: func(c cell) string {
		switch {
		case c.ofMemory():
			return "its memory is not that of a Go heap"
		case c.streams > 0:
			return "its program makes unary calls alone"
		}
		return ""
	},
}
