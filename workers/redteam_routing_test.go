package workers_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// routingAttack notes what an attack on routing was bounded by and what it came to, for
// the table of attacks.
func routingAttack(t *testing.T, attack string, bound, measured any) {
	t.Helper()
	t.Logf("redteam | %s | %v | %v", attack, bound, measured)
}

// identified returns an endpoint with a certificate for 127.0.0.1 that carries a
// SPIFFE id, which comes first.
func identified(t testing.TB, id string) *rpcnet.Endpoint {
	t.Helper()
	creds, err := shared().Credentials(id, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ep.Close() })
	return ep
}

// workerOn makes ep a worker that answers "compute" with name.
func workerOn(t testing.TB, ep *rpcnet.Endpoint, name string, cfg workers.WorkerConfig) cluster.Member {
	t.Helper()
	cfg.Logger = quiet()
	w, err := workers.NewStaticWorker(ep, &cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	srv := rpcnet.NewServer(nil)
	srv.Handle("compute", func(context.Context, []byte) ([]byte, error) { return []byte(name), nil })
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		ep.Serve(ctx, srv)
	}()
	t.Cleanup(func() { stop(); <-served })
	return cluster.Member{Name: name, Addr: ep.Addr().String(), Tags: cluster.Tags{"role": "worker"}}
}

// staticRouting is a balancer among the given workers.
func staticRouting(t testing.TB, logger *slog.Logger, members ...cluster.Member) (*routing, *workers.StaticMembers) {
	t.Helper()
	list := workers.NewStaticMembers(members...)
	r, err := workers.NewStaticRegistry(listen(t, "127.0.0.1:0"), list, &workers.RegistryConfig{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	c, err := workers.NewClient(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &routing{registry: r, client: c}, list
}

// TestAttack05AClientsCertificateIsNoWorkers: who may only be a client is given no
// call, whatever it says of itself, and the reason is told.
func TestAttack05AClientsCertificateIsNoWorkers(t *testing.T) {
	t.Parallel()
	var log testkit.Log
	mallory := workerOn(t, identified(t, "spiffe://test/rpcnet/client/mallory"), "mallory", workers.WorkerConfig{Capacity: 1000})
	d, _ := staticRouting(t, slog.New(slog.NewTextHandler(&log, nil)), mallory, staticWorker(t, "worker-a"), staticWorker(t, "worker-b"))
	d.ready(t, 2)
	const reason = "may not be used as worker"
	within(t, "the reason is known", func() bool {
		w, _ := d.registry.Worker("mallory")
		return strings.Contains(w.Reason, reason) || w.Ready
	})
	const calls = 300
	taken := 0
	for range calls {
		if d.call(t, "") == "mallory" {
			taken++
		}
	}
	routingAttack(t, "05 a client's certificate joins as a worker", fmt.Sprintf("0 of %d calls", calls), taken)
	if taken > 0 {
		t.Errorf("it was given %d of %d calls", taken, calls)
	}
	if e, err := d.registry.Explain(balance.PickRequest{}); err != nil || !strings.Contains(e.String(), reason) {
		t.Errorf("the explanation does not say why: %v\n%v", err, e)
	}
	if n := strings.Count(log.String(), reason); n != 1 || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("it was told %d times, want once:\n%s", n, log.String())
	}
}

// TestAttack05ACapacityOfTwoBillion: a worker that declares that it can take
// everything takes its share.
func TestAttack05ACapacityOfTwoBillion(t *testing.T) {
	t.Parallel()
	members := []cluster.Member{workerOn(t, listen(t, "127.0.0.1:0"), "greedy", workers.WorkerConfig{Capacity: 2e9})}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		members = append(members, workerOn(t, listen(t, "127.0.0.1:0"), name, workers.WorkerConfig{Capacity: 100}))
	}
	d, _ := staticRouting(t, quiet(), members...)
	d.ready(t, len(members))
	const calls = 400
	taken := 0
	for range calls {
		a, err := d.registry.Assign(balance.PickRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if a.Worker.Name == "greedy" {
			taken++
		}
	}
	routingAttack(t, "05 a capacity of 2e9 among eight of 100", fmt.Sprintf("60 %% of %d calls", calls), taken)
	if taken > calls*6/10 {
		t.Errorf("it was given %d of %d calls", taken, calls)
	}
}

// TestAttack08InventedWorkersAreDialledSlowly: workers that somebody has made up do
// not make a registry dial third parties, and those that are real go on and join.
func TestAttack08InventedWorkersAreDialledSlowly(t *testing.T) {
	t.Parallel()
	third, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	var dials atomic.Int64
	go func() {
		for {
			c, err := third.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			c.Close()
		}
	}()
	members := []cluster.Member{staticWorker(t, "worker-a")}
	d, list := staticRouting(t, quiet(), members...)
	d.ready(t, 1)
	for i := range 5000 {
		members = append(members, cluster.Member{Name: fmt.Sprintf("invented-%d", i), Addr: third.Addr().String(), Tags: cluster.Tags{"role": "worker"}})
	}
	begun := time.Now()
	list.Set(members...)
	within(t, "the first dials", func() bool { return dials.Load() > 100 })
	members = append(members, staticWorker(t, "worker-b")) // a real one joins
	list.Set(members...)
	d.ready(t, 2)
	joined := time.Since(begun)
	slowest := time.Duration(0)
	for time.Since(begun) < 4*time.Second {
		at := time.Now()
		d.call(t, "")
		slowest = max(slowest, time.Since(at))
		time.Sleep(10 * time.Millisecond)
	}
	// 400 at once, then 200 a second, and 50 a second again.
	took := time.Since(begun)
	made, bound := dials.Load(), 400+int64(300*took.Seconds())
	routingAttack(t, "08 5000 invented workers", fmt.Sprintf("%d dials in %v", bound, took.Round(time.Second)),
		fmt.Sprintf("%d dials; a real one joined after %v; slowest call %v", made, joined.Round(time.Millisecond), slowest.Round(time.Millisecond)))
	if made > bound+bound/2 {
		t.Errorf("%d dials to a third party in %v, want about %d", made, took, bound)
	}
	closing := time.Now()
	d.registry.Close()
	if took := time.Since(closing); took > 20*time.Second { // at the pace of dials it would be minutes
		t.Errorf("Close took %v", took)
	}
}

// TestAttack10ForeignHandsOnTheHeartbeat: neither a client nor a worker watches
// another's load, and another director does not change the pace of the reports
// to the first.
func TestAttack10ForeignHandsOnTheHeartbeat(t *testing.T) {
	t.Parallel()
	worker := staticWorker(t, "worker-a")
	d, _ := staticRouting(t, quiet(), worker)
	d.ready(t, 1)
	a, err := d.registry.Assign(balance.PickRequest{Caller: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	balancer := binary.BigEndian.Uint64(a.Ticket[1:])
	slow := workers.ReportHello(balancer, 1, 10*time.Second)
	const watch, pace = "/cluster.v1.Worker/Watch", "/cluster.v1.Worker/Pace"
	for id, allowed := range map[string]bool{ // to speak of the pace of its own reports
		"spiffe://test/rpcnet/client/mallory":   false,
		"spiffe://test/rpcnet/worker/mallory":   false,
		"spiffe://test/rpcnet/director/mallory": true,
	} {
		conn, err := identified(t, id).Dial(t.Context(), worker.Addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rpcnet.CallRaw(t.Context(), conn, pace, slow); (err == nil) != allowed || err != nil && rpcnet.CodeOf(err) != rpcnet.CodePermissionDenied {
			t.Errorf("%s calls %s: %v", id, pace, err)
		}
		// Who may ask workers to hand streams over must watch them under this id.
		_, err = rpcnet.CallRaw(t.Context(), conn, "/cluster.v1.Worker/Handover", workers.HandoverRequest(balancer, 1))
		if rpcnet.CodeOf(err) != rpcnet.CodePermissionDenied {
			t.Errorf("%s asks for streams: %v", id, err)
		}
		_, err = watching(t, conn, watch, slow) // the id is the first director's
		if rpcnet.CodeOf(err) != rpcnet.CodePermissionDenied {
			t.Errorf("%s watches under another's id: %v", id, err)
		}
	}
	// The attackers ask for a heartbeat every 10 s: with it no report would come in all
	// this time. A busy machine can be late by a second or two.
	mean := time.Duration(0)
	for end := time.Now().Add(3500 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		w, _ := d.registry.Worker("worker-a")
		mean = max(mean, w.Heartbeats.Mean, w.Load.ReportAge)
	}
	routingAttack(t, "10 others slow the heartbeats to a director", "2.5s between two", mean.Round(time.Millisecond))
	if mean > 2500*time.Millisecond {
		t.Errorf("heartbeats come every %v", mean)
	}
}

// watching opens a control stream and returns when it has brought its first
// message, or its error.
func watching(t testing.TB, conn *rpcnet.Conn, procedure string, hello []byte) (rpcnet.ClientStream, error) {
	t.Helper()
	s, err := conn.NewStream(t.Context(), &rpcnet.Spec{Procedure: procedure, Shape: codegen.ShapeServerStream})
	if err != nil {
		return nil, err
	}
	s.Send(hello)
	s.CloseSend()
	var b []byte
	return s, s.Recv(&b)
}

// TestAttack10WatchersAreBounded: one identity has so many streams of reports, and
// those who watch already go on.
func TestAttack10WatchersAreBounded(t *testing.T) {
	t.Parallel()
	worker := staticWorker(t, "worker-a")
	d, _ := staticRouting(t, quiet(), worker)
	d.ready(t, 1)
	ep := identified(t, "spiffe://test/rpcnet/director/mallory")
	const tried = 400
	watched := 0
	for i := range tried {
		conn, err := ep.Dial(t.Context(), worker.Addr, nil)
		if err != nil {
			break // its sessions are bounded as well
		}
		if _, err := watching(t, conn, "/cluster.v1.Worker/Watch", workers.ReportHello(uint64(i+1), 1, time.Second)); err == nil {
			watched++
		}
	}
	routingAttack(t, "10 400 streams of reports for one identity", 256, watched)
	if watched > 256 {
		t.Errorf("it has %d streams of reports", watched)
	}
	d.call(t, "")
	if w, _ := d.registry.Worker("worker-a"); !w.Ready || w.Load.Balancers > 260 {
		t.Errorf("the first director's view: %+v", w)
	}
}

// TestAttackWatchersThatDoNotReadHoldUpNoShutdown: a worker to which many streams of
// reports are open that nobody reads ends in its time.
func TestAttackWatchersThatDoNotReadHoldUpNoShutdown(t *testing.T) {
	t.Parallel()
	ep := listen(t, "127.0.0.1:0")
	worker := workerOn(t, ep, "worker-a", workers.WorkerConfig{})
	mallory := identified(t, "spiffe://test/rpcnet/director/mallory")
	for i := range 50 {
		conn, err := mallory.Dial(t.Context(), worker.Addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := watching(t, conn, "/cluster.v1.Worker/Watch", workers.ReportHello(uint64(i+1), 1, 10*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	ep.Shutdown(ctx)
	took := time.Since(begun)
	routingAttack(t, "shutdown with 50 watchers that do not read", 5*time.Second, took.Round(time.Millisecond))
	if took > 5*time.Second {
		t.Errorf("Shutdown took %v", took)
	}
}
