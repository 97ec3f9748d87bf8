package cluster_test

import "github.com/rpcnet-go/rpcnet/internal/clustertest"

// What the tests share with those of package workers.

type history = clustertest.History

var (
	shared           = clustertest.CA
	listen           = clustertest.Listen
	quiet            = clustertest.Quiet
	join             = clustertest.Join
	joinContext      = clustertest.JoinContext
	start            = clustertest.Start
	startMany        = clustertest.StartMany
	addrs            = clustertest.Addrs
	lines            = clustertest.Lines
	within           = clustertest.Within
	eventually       = clustertest.Eventually
	eventuallyWithin = clustertest.EventuallyWithin
)
