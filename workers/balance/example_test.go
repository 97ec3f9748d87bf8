package balance_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/rpcnet-go/rpcnet/workers/balance"
)

func ExampleParse() {
	s, err := balance.Parse("leastconnections")
	if err != nil {
		panic(err)
	}
	workers := []balance.Candidate{
		{ID: 1, Load: 3, Capacity: 4},
		{ID: 2, Load: 6, Capacity: 16},
	}
	pick := s.New().Pick(workers, &balance.PickRequest{Rand: rand.New(rand.NewPCG(1, 2))})
	fmt.Println(s, "picks", pick.Index, "because:", pick.Reason)
	// Output: LeastConnections picks 1 because: least loaded
}

// fewestOwn takes the worker that runs the fewest calls of this process, or the one
// that served the session before if it runs none.
type fewestOwn struct{}

func (fewestOwn) Pick(cs []balance.Candidate, req *balance.PickRequest) balance.Pick {
	pick := balance.Pick{Index: -1, Reason: "no candidate"}
	last := balance.ID(req.LastWorker)
	for i, c := range cs {
		if req.LastWorker != "" && c.ID == last && c.Own == 0 {
			return balance.Pick{Index: i, Reason: "served the session before and is idle"}
		}
		if pick.Index < 0 || c.Own < cs[pick.Index].Own {
			pick = balance.Pick{Index: i, Reason: "fewest calls of this process", Score: float64(c.Own)}
		}
	}
	return pick
}

// A strategy of your own goes into workers.RegistryConfig.Strategy.
func ExampleCustom() {
	strategy := balance.Custom("FewestOwn", func() balance.Picker { return fewestOwn{} })
	workers := []balance.Candidate{
		{ID: balance.ID("worker-a"), Own: 2, Capacity: 4},
		{ID: balance.ID("worker-b"), Own: 0, Capacity: 4},
		{ID: balance.ID("worker-c"), Own: 0, Capacity: 4},
	}
	picker := strategy.New()
	for _, last := range []string{"", "worker-c"} {
		pick := picker.Pick(workers, &balance.PickRequest{LastWorker: last})
		fmt.Println(strategy, "picks", pick.Index, "because:", pick.Reason)
	}
	// Output:
	// FewestOwn picks 1 because: fewest calls of this process
	// FewestOwn picks 2 because: served the session before and is idle
}
