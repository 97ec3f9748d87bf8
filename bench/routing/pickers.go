// Package routing runs grpc-go's own load balancing policies on the traces of
// internal/routesim, beside the production code of this project. The policies
// are those that grpc-go ships, built through its balancer registry; only the
// connections below them are stand-ins, which are always ready. They run in a
// synctest bubble, whose clock follows the simulation's, since some of them keep
// time themselves.
package routing

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"testing/synctest"
	"time"

	v3orcapb "github.com/cncf/xds/go/xds/data/orca/v3"
	"google.golang.org/grpc/balancer"
	_ "google.golang.org/grpc/balancer/leastrequest"       // least_request_experimental
	_ "google.golang.org/grpc/balancer/ringhash"           // ring_hash_experimental
	_ "google.golang.org/grpc/balancer/roundrobin"         // round_robin
	_ "google.golang.org/grpc/balancer/weightedroundrobin" // weighted_round_robin
	"google.golang.org/grpc/connectivity"
	estats "google.golang.org/grpc/experimental/stats"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/serviceconfig"

	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/internal/routesim"
)

// A Policy is a load balancing policy of grpc-go with its configuration.
type Policy struct {
	Label, Name, Config string
}

// Policies are those compared, with the settings their documentation advises.
// Weighted round robin gets its weights from the load reports (ORCA) at the end
// of each call.
var Policies = []Policy{
	{"grpc-go round_robin", "round_robin", `{}`},
	{"grpc-go weighted_round_robin (ORCA)", "weighted_round_robin", `{"blackoutPeriod":"10s","weightUpdatePeriod":"1s"}`},
	{"grpc-go least_request, 2 choices", "least_request_experimental", `{"choiceCount":2}`},
	{"grpc-go least_request, 10 choices", "least_request_experimental", `{"choiceCount":10}`},
	{"grpc-go ring_hash by session", "ring_hash_experimental", `{"requestHashHeader":"session"}`},
}

// Balancers returns balancers that ask a policy. The bubble's clock must be at
// the start of the simulation.
func Balancers(p Policy) func(*routesim.Env, int) routesim.Balancer {
	start := time.Now()
	ends := map[int][]time.Duration{} // of calls, by worker, for the rate in load reports
	return func(env *routesim.Env, _ int) routesim.Balancer {
		builder := balancer.Get(p.Name)
		if builder == nil {
			panic("grpc-go has no policy " + p.Name)
		}
		c := &client{env: env, start: start, ends: ends, up: map[int]bool{}}
		c.lb = builder.Build(&clientConn{c: c}, balancer.BuildOptions{})
		if parser, ok := builder.(balancer.ConfigParser); ok {
			config, err := parser.ParseConfig(json.RawMessage(p.Config))
			if err != nil {
				panic(fmt.Sprintf("%s: %v", p.Name, err))
			}
			c.config = config
		}
		return c
	}
}

// A client is one process with a policy.
type client struct {
	env    *routesim.Env
	start  time.Time
	lb     balancer.Balancer
	config serviceconfig.LoadBalancingConfig
	up     map[int]bool
	ends   map[int][]time.Duration

	mu     sync.Mutex
	picker balancer.Picker
}

// Close ends the policy.
func (c *client) Close() { c.lb.Close() }

// at moves the bubble's clock to the simulation's.
func (c *client) at(now time.Duration) {
	if d := now - time.Since(c.start); d > 0 {
		time.Sleep(d)
	}
}

func (c *client) Up(now time.Duration, w int)   { c.up[w] = true; c.update(now) }
func (c *client) Down(now time.Duration, w int) { delete(c.up, w); c.update(now) }

func (c *client) update(now time.Duration) {
	c.at(now)
	var s resolver.State
	for w := range c.up {
		a := resolver.Address{Addr: strconv.Itoa(w)}
		s.Addresses = append(s.Addresses, a)
		s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{a}})
	}
	c.lb.UpdateClientConnState(balancer.ClientConnState{ResolverState: s, BalancerConfig: c.config})
	synctest.Wait()
}

func (c *client) Report(time.Duration, int, load.Report, bool) {}

func (c *client) Choose(now time.Duration, r *routesim.Request) (int, load.Ticket) {
	c.at(now)
	ctx := metadata.AppendToOutgoingContext(context.Background(), "session", strconv.Itoa(r.Session))
	for range 20 {
		c.mu.Lock()
		picker := c.picker
		c.mu.Unlock()
		res, err := picker.Pick(balancer.PickInfo{FullMethodName: "/s/m", Ctx: ctx})
		if err == nil {
			sc := unwrap(res.SubConn)
			r.Picked = res.Done
			return sc.worker, load.Ticket{}
		}
		synctest.Wait() // a new picker is on its way
	}
	return -1, load.Ticket{}
}

func (c *client) Ended(now time.Duration, w int, r *routesim.Request, o routesim.Outcome) {
	c.at(now)
	done, _ := r.Picked.(func(balancer.DoneInfo))
	if w < 0 {
		return
	}
	ends := append(c.ends[w], now)
	for len(ends) > 0 && now-ends[0] > 10*time.Second {
		ends = ends[1:]
	}
	c.ends[w] = ends
	if done == nil {
		return
	}
	info := balancer.DoneInfo{}
	if o != routesim.Done {
		info.Err = context.Canceled
	}
	// What ORCA carries: utilisation and rate, per worker over 10 s.
	info.ServerLoad = &v3orcapb.OrcaLoadReport{
		ApplicationUtilization: min(float64(c.env.Truth(w))/float64(c.env.Cap(w)), 1),
		RpsFractional:          float64(len(ends)) / 10,
	}
	done(info)
}

// A clientConn is what a policy sees of a channel.
type clientConn struct {
	balancer.ClientConn
	c *client
}

func (cc *clientConn) NewSubConn(as []resolver.Address, o balancer.NewSubConnOptions) (balancer.SubConn, error) {
	w, err := strconv.Atoi(as[0].Addr)
	return &subConn{worker: w, listen: o.StateListener}, err
}

func (cc *clientConn) UpdateState(s balancer.State) {
	cc.c.mu.Lock()
	defer cc.c.mu.Unlock()
	cc.c.picker = s.Picker
}

func (cc *clientConn) Target() string                          { return "sim" }
func (cc *clientConn) ResolveNow(resolver.ResolveNowOptions)   {}
func (cc *clientConn) RemoveSubConn(sc balancer.SubConn)       { sc.Shutdown() }
func (cc *clientConn) MetricsRecorder() estats.MetricsRecorder { return noMetrics{} }

type noMetrics struct {
	estats.UnimplementedMetricsRecorder
}

// A subConn is a connection that is always ready.
type subConn struct {
	balancer.SubConn
	worker int
	listen func(balancer.SubConnState)
	once   sync.Once
}

func (s *subConn) Connect() {
	s.once.Do(func() {
		go func() {
			s.listen(balancer.SubConnState{ConnectivityState: connectivity.Connecting})
			s.listen(balancer.SubConnState{ConnectivityState: connectivity.Ready})
		}()
	})
}

func (s *subConn) RegisterHealthListener(f func(balancer.SubConnState)) {
	go f(balancer.SubConnState{ConnectivityState: connectivity.Ready})
}

func (s *subConn) Shutdown() {
	go s.listen(balancer.SubConnState{ConnectivityState: connectivity.Shutdown})
}

func (s *subConn) GetOrBuildProducer(balancer.ProducerBuilder) (balancer.Producer, func()) {
	return nil, func() {}
}

// unwrap finds our connection below those that policies wrap around it.
func unwrap(sc balancer.SubConn) *subConn {
	s, ok := sc.(*subConn)
	if !ok {
		panic(fmt.Sprintf("a policy picked a %T", sc))
	}
	return s
}
