package director_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/internal/directorv1"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// redteam notes what an attack was bounded by and what it came to, for the
// table of attacks.
func redteam(t *testing.T, attack string, bound, measured any) {
	t.Helper()
	t.Logf("redteam | %s | %v | %v", attack, bound, measured)
}

// clientNamed returns credentials of a client alone, with that name.
func clientNamed(t testing.TB, name string) rpcnet.Credentials {
	t.Helper()
	creds, err := authority().ClientCredentials(name)
	if err != nil {
		t.Fatal(err)
	}
	return creds
}

// A mallory is somebody with a client's certificate.
type mallory struct {
	testing.TB
	creds    rpcnet.Credentials
	director *directorv1.DirectorClient
}

func newMallory(t testing.TB, d *process) *mallory {
	t.Helper()
	m := &mallory{TB: t, creds: clientNamed(t, "mallory")}
	m.director = directorv1.NewDirectorClient(m.connect(d.addr))
	return m
}

// connect connects to an address with the certificate of m.
func (m *mallory) connect(addr string) *rpcnet.Conn {
	m.Helper()
	conn, err := rpcnet.Dial(m.Context(), addr, m.creds, &rpcnet.DialConfig{Logger: quiet})
	if err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() { conn.Close() })
	return conn
}

// ask asks the director for a worker.
func (m *mallory) ask(req *directorv1.GetWorkerRequest) *directorv1.GetWorkerResponse {
	m.Helper()
	res, err := m.director.GetWorker(m.Context(), req)
	if err != nil {
		m.Fatal(err)
	}
	return res
}

// holding serves "hold", which tells how many calls of it run and ends when
// release is closed.
func holding(running *sync.WaitGroup, release chan struct{}) func(*process, *rpcnet.Server) {
	return func(_ *process, srv *rpcnet.Server) {
		srv.Handle("hold", func(ctx context.Context, in []byte) ([]byte, error) {
			if string(in) == "victim" {
				running.Done()
			}
			select {
			case <-release:
				return []byte("done"), nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		})
	}
}

// TestAttack02GuessedTickets: short calls with guessed and with stolen tickets, as
// the last attempt, do not end the calls of those whose tickets they are.
func TestAttack02GuessedTickets(t *testing.T) {
	t.Parallel()
	const calls = 20
	var running sync.WaitGroup
	release := make(chan struct{})
	d := startDirector(t, "director", "", "")
	w := startWorker(t, "worker-a", "", d.addr, workers.WorkerConfig{}, holding(&running, release))
	ready(t, d, 1)

	// The victim's calls, with the tickets that it was given.
	victim := newMallory(t, d)
	victim.creds = clientNamed(t, "victim")
	victim.director = directorv1.NewDirectorClient(victim.connect(d.addr))
	toWorker := victim.connect(w.addr)
	running.Add(calls)
	var stolen [][]byte
	ends := make(chan error, calls)
	for range calls {
		ticket := victim.ask(&directorv1.GetWorkerRequest{}).Ticket
		stolen = append(stolen, ticket)
		go func() {
			_, err := rpcnet.CallRaw(t.Context(), rpcnet.NewClient(toWorker, &rpcnet.ClientConfig{Call: rpcnet.CallOptions{Ticket: ticket}}), "hold", []byte("victim"))
			ends <- err
		}()
	}
	running.Wait()

	m := newMallory(t, d)
	own, err := load.ParseTicket(m.ask(&directorv1.GetWorkerRequest{}).Ticket)
	if err != nil {
		t.Fatal(err)
	}
	tickets := stolen
	for n := range uint64(2 * calls) {
		own.Number = n
		tickets = append(tickets, own.Append(nil))
	}
	conn := m.connect(w.addr)
	for _, ticket := range tickets {
		if _, err := rpcnet.CallRaw(t.Context(), rpcnet.NewClient(conn, &rpcnet.ClientConfig{Call: rpcnet.CallOptions{Ticket: ticket, Attempt: 255}}), "name", nil); err != nil {
			t.Errorf("a call with a ticket that does not hold: %v", err)
		}
	}
	aborted := len(ends)
	close(release)
	for range calls {
		if err := <-ends; err != nil {
			t.Errorf("a call of the victim: %v", err)
		}
	}
	redteam(t, "02 guessed and stolen tickets", fmt.Sprintf("0 of %d calls aborted", calls), aborted)
	if aborted > 0 {
		t.Errorf("%d of %d calls of others aborted", aborted, calls)
	}
}

// TestAttack09OneClientComplains: one client that complains about every worker,
// over several sessions and about every trial, ejects nobody; two clients do.
func TestAttack09OneClientComplains(t *testing.T) {
	t.Parallel()
	d := startDirector(t, "director", "", "")
	var all []directorv1.Failure
	for _, name := range []string{"worker-a", "worker-b", "worker-c"} {
		w := startWorker(t, name, "", d.addr, workers.WorkerConfig{})
		all = append(all, directorv1.Failure{Worker: name, Boot: w.node.Self().Boot})
	}
	ready(t, d, 3)
	sessions := []*mallory{newMallory(t, d), newMallory(t, d)}
	for range 100 {
		for _, m := range sessions {
			m.ask(&directorv1.GetWorkerRequest{Failures: all})
		}
	}
	ejected := 3 - d.registry.Count()
	redteam(t, "09 one client complains as two", "0 of 3 workers ejected", ejected)
	if ejected > 0 {
		t.Errorf("one identity ejected %d of 3 workers:\n%v", ejected, d.registry.Workers())
	}
	other := newMallory(t, d)
	other.creds = clientNamed(t, "honest")
	other.director = directorv1.NewDirectorClient(other.connect(d.addr))
	other.ask(&directorv1.GetWorkerRequest{Failures: all[:1]})
	if d.registry.Count() != 2 {
		t.Errorf("two identities agree, and %d workers can be chosen", d.registry.Count())
	}
}

// TestAttack12AClientThatAsksAndDoesNotCall: what a director keeps for a client is
// bounded, and others' choices stay as they were.
func TestAttack12AClientThatAsksAndDoesNotCall(t *testing.T) {
	d := start(t, "director", "", "", nil, func(p *process, srv *rpcnet.Server) {
		var err error
		if p.registry, err = workers.NewRegistry(p.node, &workers.RegistryConfig{Logger: quiet, Strategy: balance.RoundRobin}); err != nil {
			t.Fatal(err)
		}
		director.New(p.registry, &director.Config{Logger: quiet}).Register(srv)
	})
	startWorker(t, "worker-a", "", d.addr, workers.WorkerConfig{})
	startWorker(t, "worker-b", "", d.addr, workers.WorkerConfig{})
	ready(t, d, 2)
	victim := newMallory(t, d)
	victim.creds = clientNamed(t, "victim")
	victim.director = directorv1.NewDirectorClient(victim.connect(d.addr))
	m := newMallory(t, d)

	var turns []string
	const rounds = 12
	for round := range rounds {
		turns = append(turns, victim.ask(&directorv1.GetWorkerRequest{Selector: "label!=x"}).Worker.Name)
		for i := range 300 {
			m.ask(&directorv1.GetWorkerRequest{Selector: fmt.Sprintf("label!=x%d-%d", round, i)})
		}
	}
	pending, again := 0, 0
	for _, w := range d.registry.Workers() {
		pending += w.Load.Pending
	}
	for i := range rounds - 1 {
		if turns[i] == turns[i+1] {
			again++
		}
	}
	redteam(t, "12 3600 tickets of a client that does not call", fmt.Sprintf("%d pending", load.MaxPending+rounds), pending)
	if pending > load.MaxPending+rounds {
		t.Errorf("%d tickets pending", pending)
	}
	redteam(t, "12 3600 selectors of one client", "0 of another's turns lost", again)
	if again > 0 {
		t.Errorf("another's turns %v: they begin again when one client asks for many selectors", turns)
	}
}

// TestAttack12AClientThatLeasesAndDoesNotCall: a client that leases all it can get, again
// and again, holds at most its share of the places. It cannot give back what others have
// leased, to have them counted wrongly.
func TestAttack12AClientThatLeasesAndDoesNotCall(t *testing.T) {
	t.Parallel()
	const places = 400
	d := startDirector(t, "director", "", "")
	for _, name := range []string{"worker-a", "worker-b"} {
		startWorker(t, name, "", d.addr, workers.WorkerConfig{Capacity: places / 2})
	}
	ready(t, d, 2)
	victim := newMallory(t, d)
	victim.creds = clientNamed(t, "victim")
	victim.director = directorv1.NewDirectorClient(victim.connect(d.addr))
	res, err := victim.director.Lease(t.Context(), &directorv1.LeaseRequest{Want: 100})
	if err != nil {
		t.Fatal(err)
	}
	if n := slots(t, res); n != 100 {
		t.Fatalf("the victim can lease %d of %d places", n, places)
	}
	m := newMallory(t, d)
	took := 0
	for range 100 {
		res, err := m.director.Lease(t.Context(), &directorv1.LeaseRequest{Want: 1 << 31})
		if err != nil {
			t.Fatal(err)
		}
		took += slots(t, res)
	}
	redteam(t, "12 100 leases of a client that does not call", fmt.Sprintf("%d of 300 places", 150), took)
	if took > 150 {
		t.Errorf("it holds %d of the 300 places that were free", took)
	}
	// Its guesses at the victim's tickets give nothing back.
	var guesses []uint64
	for n := range uint64(directorv1.MaxSlots) {
		guesses = append(guesses, n)
	}
	before := pending(d)
	ask := &directorv1.LeaseRequest{Spent: []directorv1.Spent{{Worker: "nobody", Numbers: guesses}}}
	if err := directorv1.ParseSlots(res, func(worker int, ticket []byte) { // the victim's, which tell the balancers
		t, _ := load.ParseTicket(ticket)
		ask.Spent = append(ask.Spent[:min(len(ask.Spent), 100)], directorv1.Spent{Worker: res.Workers[worker].Name, Balancer: t.Balancer, Numbers: guesses})
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.director.Lease(t.Context(), ask); err != nil {
		t.Fatal(err)
	}
	lost := before - took - pending(d)
	redteam(t, "12 another client's tickets given back", 0, lost)
	if lost > 0 {
		t.Errorf("%d tickets of the victim count no more", lost)
	}
}

// TestAttackedDirectorsAndWorkersShutDown: no call of a client that holds on to
// everything keeps a worker or a director from ending in its time.
func TestAttackedDirectorsAndWorkersShutDown(t *testing.T) {
	t.Parallel()
	const drain = 500 * time.Millisecond
	d := startDirector(t, "director", "", "")
	deaf := func(_ *process, srv *rpcnet.Server) {
		srv.HandleStream("flood", func(_ context.Context, s rpcnet.ServerStream) error {
			for { // the client does not read
				if err := s.Send(make([]byte, 64<<10)); err != nil {
					return err
				}
			}
		})
	}
	w := startWorker(t, "worker-a", "", d.addr, workers.WorkerConfig{Capacity: 4, Queue: 100, QueueWait: time.Hour, DrainTimeout: drain}, deaf)
	ready(t, d, 1)
	m := newMallory(t, d)
	conn := m.connect(w.addr)
	for range 50 { // 4 run, the others wait
		s, err := conn.NewStream(t.Context(), &rpcnet.Spec{Procedure: "flood", Shape: codegen.ShapeBidi})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			for ctx.Err() == nil {
				m.director.GetWorker(ctx, &directorv1.GetWorkerRequest{QueueOK: true})
			}
		})
	}
	within(t, "the worker is full", func() bool { return w.worker.Queued() > 0 })
	took := map[string]time.Duration{}
	end := func(what string, f func()) {
		begun := time.Now()
		f()
		took[what] = time.Since(begun).Round(time.Millisecond)
	}
	limit, cancel := context.WithTimeout(t.Context(), 2*drain)
	defer cancel()
	end("worker", func() { w.ep.Shutdown(limit) })
	end("registry", func() { d.registry.Close() })
	limit, cancel = context.WithTimeout(t.Context(), 2*drain)
	defer cancel()
	end("director", func() { d.ep.Shutdown(limit) })
	stop()
	asking.Wait()
	redteam(t, "shutdown while a client holds on", 5*time.Second, took)
	for what, d := range took {
		if d > 5*time.Second {
			t.Errorf("%s: %v", what, d)
		}
	}
}

// impostor serves as a director that names itself as the worker, and as that
// worker, with the given identity. It counts the calls that it is given.
func impostor(t *testing.T, id string, worker directorv1.Worker) (addr string, asked, called *atomic.Int64) {
	t.Helper()
	creds, err := authority().Credentials(id, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	asked, called = new(atomic.Int64), new(atomic.Int64)
	if worker.Addr == "" {
		worker.Addr = ep.Addr().String()
	}
	srv := rpcnet.NewServer(nil)
	directorv1.RegisterDirector(srv, naming{asked: asked, worker: worker})
	srv.Handle("name", func(context.Context, []byte) ([]byte, error) {
		called.Add(1)
		return []byte("impostor"), nil
	})
	served := make(chan struct{})
	go func() {
		defer close(served)
		ep.Serve(context.Background(), srv)
	}()
	t.Cleanup(func() { ep.Close(); <-served })
	return ep.Addr().String(), asked, called
}

// A naming names always the same worker.
type naming struct {
	directorv1.UnimplementedDirector
	asked  *atomic.Int64
	worker directorv1.Worker
}

func (n naming) GetWorker(context.Context, *directorv1.GetWorkerRequest) (*directorv1.GetWorkerResponse, error) {
	n.asked.Add(1)
	return &directorv1.GetWorkerResponse{Worker: n.worker}, nil
}

// TestAttack05AClientAnswersAsDirectorOrWorker: who answers at the address of a
// director, or of a worker that a director has named, gets no call if it may only
// be a client; the error says why.
func TestAttack05AClientAnswersAsDirectorOrWorker(t *testing.T) {
	t.Parallel()
	const mallory = "spiffe://test/rpcnet/client/mallory"
	asDirector, asked, _ := impostor(t, mallory, directorv1.Worker{Name: "impostor"})
	asWorker, _, called := impostor(t, mallory, directorv1.Worker{})
	real, _, _ := impostor(t, "spiffe://test/rpcnet/director/real", directorv1.Worker{Name: "worker-a", Addr: asWorker})
	for role, addr := range map[string]string{"director": asDirector, "worker": real} {
		_, err := dial(t, director.ClientConfig{Credentials: clientNamed(t, "client-1")}, addr).CallWorker(t.Context(), "name", nil, "")
		if err == nil || !strings.Contains(err.Error(), "may not be used as "+role) {
			t.Errorf("a client answers as %s: %v", role, err)
		}
	}
	got := asked.Load() + called.Load()
	redteam(t, "05 a client answers as director and as worker", "0 calls", got)
	if got > 0 {
		t.Errorf("it was given %d calls", got)
	}
}
