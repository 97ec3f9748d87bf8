package workers_test

import "github.com/rpcnet-go/rpcnet/internal/clustertest"

// What the tests share with those of package cluster.

type history = clustertest.History

var (
	shared      = clustertest.CA
	listen      = clustertest.Listen
	quiet       = clustertest.Quiet
	join        = clustertest.Join
	joinContext = clustertest.JoinContext
	start       = clustertest.Start
	addrs       = clustertest.Addrs
	lines       = clustertest.Lines
	within      = clustertest.Within
)
