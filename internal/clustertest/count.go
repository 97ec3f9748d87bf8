package clustertest

import (
	"encoding/binary"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
)

// CountSpec is a resumable stream of bytes. The request has two numbers: the first
// one that is wanted and the last. Each response is a number. A test of failover then
// sees a message that is lost or comes twice. The handler is that of the test, which
// decides when it fails.
var CountSpec = &rpcnet.Spec{
	Procedure: "count", Shape: codegen.ShapeServerStream,
	Resume: &codegen.Resume{
		// A message of bytes is sent as a value and received through a pointer.
		Sequence: func(res any) uint64 {
			b, ok := res.([]byte)
			if !ok {
				b = *res.(*[]byte)
			}
			return binary.BigEndian.Uint64(b)
		},
		// The new request begins at next, and ends where the old one did.
		From: func(req any, next uint64) any { return Numbers(next, binary.BigEndian.Uint64(req.([]byte)[8:])) },
	},
}

// Numbers encodes numbers, 8 bytes each, big-endian.
func Numbers(ns ...uint64) (b []byte) {
	for _, n := range ns {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}
