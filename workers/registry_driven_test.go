package workers

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A listener is a membership without members, which keeps what the registry says
// of its workers. Its Watch waits for the registry to end.
type listener struct {
	*StaticMembers
	mu   sync.Mutex
	told []cluster.Event
	at   []time.Time
}

func (l *listener) tell(e cluster.Event) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told, l.at = append(l.told, e), append(l.at, time.Now())
	return true
}

// Suspect keeps a KindNodeSuspected.
func (l *listener) Suspect(name, boot string, phi float64) bool {
	return l.tell(cluster.Event{Kind: cluster.KindNodeSuspected, Member: cluster.Member{Name: name, Boot: boot}, Phi: phi})
}

// Recover keeps a KindNodeRecovered.
func (l *listener) Recover(name, boot string) bool {
	return l.tell(cluster.Event{Kind: cluster.KindNodeRecovered, Member: cluster.Member{Name: name, Boot: boot}})
}

// events returns what was said of that kind about a worker, and when.
func (l *listener) events(kind cluster.Kind, name string) (es []cluster.Event, at []time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, e := range l.told {
		if e.Kind == kind && (name == "" || e.Member.Name == name) {
			es, at = append(es, e), append(at, l.at[i])
		}
	}
	return es, at
}

// drive returns a registry without a network, for use under testing/synctest:
// the test plays the workers. Nobody answers pings. Deadlines are checked only if
// the test starts health.run or calls health.checkAll.
func drive(t testing.TB, cfg RegistryConfig) (*Registry, *listener) {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	l := &listener{StaticMembers: NewStaticMembers()}
	r, err := newRegistry(nil, l, &cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.health.probe = func(ctx context.Context, _ rpcnet.Transport) error { <-ctx.Done(); return ctx.Err() }
	t.Cleanup(func() { r.Close() })
	return r, l
}

// A player is a worker that the test plays.
type player struct {
	r      *Registry
	w      *worker
	report load.Report
}

func workerMember(name, boot string, tags cluster.Tags) cluster.Member {
	all := cluster.Tags{"role": "worker"}
	for k, v := range tags {
		all[k] = v
	}
	return cluster.Member{Name: name, Boot: boot, Addr: "127.0.0.1:1", Tags: all}
}

func play(r *Registry, name string, capacity int, tags cluster.Tags) *player {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &player{r, r.table.enter(r.now(), workerMember(name, "1", tags)),
		load.Report{Epoch: 1, Capacity: uint32(capacity), Interval: 50 * time.Millisecond, Balancers: 1}}
}

// beat lets a heartbeat of the worker arrive.
func (p *player) beat() {
	p.report.Seq++
	p.r.reported(p.w, p.report)
}

// beatFor lets time pass with a heartbeat of each player every 50 ms.
func beatFor(d time.Duration, ps ...*player) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
		for _, p := range ps {
			p.beat()
		}
	}
}

// info returns what the registry says of the worker.
func (p *player) info(t *testing.T) WorkerInfo {
	t.Helper()
	i, ok := p.r.Worker(p.w.member.Name)
	if !ok {
		t.Fatalf("%s is not there", p.w.member.Name)
	}
	return i
}

// chosen counts the workers given in n assignments, all of which are returned at
// the end.
func chosen(t *testing.T, r *Registry, n int) map[string]int {
	t.Helper()
	got, given := map[string]int{}, []Assignment{}
	for range n {
		a, err := r.Assign(balance.PickRequest{})
		if err != nil {
			t.Fatal(err)
		}
		given = append(given, a)
		got[a.Worker.Name]++
	}
	for _, a := range given {
		r.Return(a.Worker.Name, a.Ticket, "")
	}
	return got
}
