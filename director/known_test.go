package director_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/internal/directorv1"
	"github.com/rpcnet-go/rpcnet/rpctest"
	"github.com/rpcnet-go/rpcnet/workers"
)

// A scriptedDirector names the first worker that is not excluded, or has none.
type scriptedDirector struct {
	directorv1.UnimplementedDirector // it leases nothing
	workers                          []*scriptedWorker
	proxy                            *rpctest.Proxy // what leads to it
	empty                            atomic.Bool
	asked                            atomic.Int32
}

func (d *scriptedDirector) GetWorker(_ context.Context, req *directorv1.GetWorkerRequest) (*directorv1.GetWorkerResponse, error) {
	d.asked.Add(1)
	var res directorv1.GetWorkerResponse
	for _, w := range d.workers {
		switch {
		case slices.Contains(req.Exclude, w.as.Name):
		case res.Worker.Name == "":
			res.Worker = w.as
		default:
			res.Alternates = append(res.Alternates, w.as)
		}
	}
	if d.empty.Load() || res.Worker.Name == "" {
		return nil, rpcnet.NewError(rpcnet.CodeUnavailable, `no worker matches "role=worker" among 0`).WithUnprocessed()
	}
	return &res, nil
}

// A scriptedWorker answers "name", or fails.
type scriptedWorker struct {
	as     directorv1.Worker
	proxy  *rpctest.Proxy // what leads to it
	failed atomic.Bool
	frozen atomic.Bool // does not answer
}

// scripted returns a director of workers with these names, and a client that knows
// them.
func scripted(t *testing.T, names ...string) (*scriptedDirector, *director.Client) {
	t.Helper()
	return scriptedFor(t, noWait, names...)
}

func scriptedFor(t *testing.T, cfg workers.ClientConfig, names ...string) (*scriptedDirector, *director.Client) {
	t.Helper()
	d := &scriptedDirector{}
	for _, name := range names {
		w := &scriptedWorker{}
		srv := rpcnet.NewServer(nil)
		srv.Handle("name", func(ctx context.Context, _ []byte) ([]byte, error) {
			if w.frozen.Load() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			if w.failed.Load() {
				return nil, rpcnet.NewError(rpcnet.CodeUnavailable, name+" is out of order")
			}
			return []byte(name), nil
		})
		w.proxy = rpctest.NewProxy(t, rpctest.Serve(t, srv, nil).Addr().String())
		w.as = directorv1.Worker{Name: name, Boot: "1", Addr: w.proxy.Addr()}
		d.workers = append(d.workers, w)
	}
	srv := rpcnet.NewServer(nil)
	directorv1.RegisterDirector(srv, d)
	d.proxy = rpctest.NewProxy(t, rpctest.Serve(t, srv, nil).Addr().String())
	c, err := director.Dial(t.Context(), &director.ClientConfig{Credentials: rpctest.Credentials(t), Logger: quiet, ClientConfig: cfg, AskTimeout: 500 * time.Millisecond}, d.proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	within(t, "the client knows the workers", func() bool {
		_, err := c.CallWorker(t.Context(), "name", nil, "")
		return err == nil
	})
	return d, c
}

func TestNoWorkerIsForgottenWhileNoDirectorAnswers(t *testing.T) {
	t.Parallel()
	d, c := scripted(t, "a", "b")
	ctx := with(t, rpcnet.CallOptions{Idempotent: true})
	d.proxy.Refuse(true)
	d.proxy.Cut()
	for i := range 4 { // they fail in turn
		d.workers[i%2].failed.Store(true)
		d.workers[1-i%2].failed.Store(false)
		want := d.workers[1-i%2].as.Name
		if out, err := c.CallWorker(ctx, "name", nil, ""); err != nil || string(out) != want {
			t.Fatalf("failure %d: %q, %v; want %s", i, out, err, want)
		}
	}
}

func TestCallsGoOnWithADirectorThatKnowsNoWorkerYet(t *testing.T) {
	t.Parallel()
	d, c := scripted(t, "a")
	d.empty.Store(true)
	asked := d.asked.Load()
	if out, err := c.CallWorker(t.Context(), "name", nil, ""); err != nil || string(out) != "a" {
		t.Errorf("%q, %v", out, err)
	}
	// What another selector matches the client cannot know.
	if _, err := c.CallWorker(t.Context(), "name", nil, "gpu"); rpcnet.CodeOf(err) != rpcnet.CodeUnavailable {
		t.Errorf("with a selector: %v", err)
	}
	if n := d.asked.Load() - asked; n != 2 {
		t.Errorf("asked %d times, want twice", n)
	}
}

func TestFieldThatIsTooLongForADirectorIsNamed(t *testing.T) {
	t.Parallel()
	_, c := scripted(t, "a")
	for _, long := range []struct {
		ctx         context.Context
		field, most string
	}{
		{with(t, rpcnet.CallOptions{AffinityKey: strings.Repeat("k", 1025)}), "Key", "1024"},
		{with(t, rpcnet.CallOptions{LastWorker: strings.Repeat("h", 257)}), "Hint", "256"},
		{with(t, rpcnet.CallOptions{Selector: strings.Repeat("s", 4097)}), "Selector", "4096"},
	} {
		_, err := c.CallWorker(long.ctx, "name", nil, "")
		if rpcnet.CodeOf(err) != rpcnet.CodeInvalidArgument || !strings.Contains(err.Error(), long.field) || !strings.Contains(err.Error(), long.most) {
			t.Errorf("%s: %v", long.field, err)
		}
	}
}

func TestIdempotentCallOfAFrozenWorkerIsAnsweredByAnother(t *testing.T) {
	t.Parallel()
	d, c := scripted(t, "a", "b")
	d.workers[0].proxy.Stall()
	begin := time.Now()
	out, err := c.CallWorker(with(t, rpcnet.CallOptions{Idempotent: true}), "name", nil, "")
	if err != nil || string(out) != "b" {
		t.Errorf("%q, %v", out, err)
	}
	if took := time.Since(begin); took < 500*time.Millisecond || took > 2500*time.Millisecond {
		t.Errorf("answered after %v, want 0.75 s", took)
	}
	d.workers[0].proxy.Resume()
}

// The client's own connections are busy with attempts to come back that lead
// nowhere.
func TestDirectorThatIsBackIsAskedAtOnce(t *testing.T) {
	t.Parallel()
	d, c := scripted(t, "a")
	before := d.proxy.Connections()
	d.proxy.HoldConnections(func(n int) time.Duration {
		if n < 2*before {
			return time.Minute
		}
		return 0
	})
	d.proxy.Cut()
	within(t, "the client connects again", func() bool { return d.proxy.Connections() == 2*before })
	for range 3 { // the client knows no worker that matches, and must ask
		ctx := with(t, rpcnet.CallOptions{Selector: "gpu"})
		if _, err := c.CallWorker(ctx, "name", nil, ""); err != nil {
			t.Error(err)
		}
	}
	if n := d.proxy.Connections() - 2*before; n != 1 {
		t.Errorf("%d connections, want one for all calls", n)
	}
}

func TestDirectorWithoutWorkersIsPassedOver(t *testing.T) {
	t.Parallel()
	empty, _ := scripted(t, "a")
	other, _ := scripted(t, "b")
	empty.empty.Store(true)
	addrs := []string{empty.proxy.Addr(), other.proxy.Addr()}
	for range 8 { // a client begins with any of them
		slices.Reverse(addrs)
		c, err := director.Dial(t.Context(), &director.ClientConfig{Credentials: rpctest.Credentials(t), Logger: quiet, AskTimeout: 10 * time.Second,
			ClientConfig: onEvent(func(e workers.Event) {
				if e.Kind == workers.EventAlternate {
					t.Errorf("%s is used without being asked for", e.Worker)
				}
			})}, addrs...)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if out, err := c.CallWorker(t.Context(), "name", nil, ""); err != nil || string(out) != "b" {
				t.Errorf("%q, %v", out, err)
			}
		}
		c.Close()
	}
}

func TestDeadlineOfACallEndsItsQuestion(t *testing.T) {
	t.Parallel()
	c, err := director.Dial(t.Context(), &director.ClientConfig{Credentials: rpctest.Credentials(t), Logger: quiet, AskTimeout: 10 * time.Second}, "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.CallWorker(ctx, "name", nil, ""); rpcnet.CodeOf(err) != rpcnet.CodeDeadlineExceeded {
		t.Errorf("got %v", err)
	}
}
