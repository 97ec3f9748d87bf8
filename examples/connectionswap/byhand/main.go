// Command byhand is a director, workers and a client built on rpcnet without its
// cluster: the director keeps a pool in a map, workers register by a call and
// are pinged, clients are given workers in turn and swap the connection when one
// fails. It works. See docs/why-cluster.md for what it costs and what it lacks.
//
//	byhand director | worker | client
package main

import (
	"context"

	"github.com/rpcnet-go/rpcnet/examples/connectionswap/internal/common"
)

func main() {
	common.Main(map[string]func(context.Context) error{"director": director, "worker": worker, "client": client})
}
