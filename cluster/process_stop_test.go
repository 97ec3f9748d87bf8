//go:build unix

package cluster_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
)

func TestAProcessStoppedForLongFailsAndRecovers(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	a := local(t, dir, "a")
	b := local(t, dir, "b", a)
	p := launch(t, childConfig{Dir: dir, Name: "worker", Listen: "127.0.0.1:0", Seeds: addrs(a)})
	for _, h := range []*history{a, b} {
		h.Sees(t, 3)
	}
	m, _ := a.Node.Lookup("worker")
	p.signal(t, syscall.SIGSTOP)
	for _, h := range []*history{a, b} {
		h.Wait(t, cluster.KindNodeFailed, "worker")
	}
	p.signal(t, syscall.SIGCONT)
	for _, h := range []*history{a, b} {
		eventually(t, func() error {
			for _, e := range h.Events(cluster.KindNodeRecovered, "worker") {
				if e.Member.Boot == m.Boot && e.Was.State == cluster.StateFailed && e.Duration > 0 {
					return nil
				}
			}
			return fmt.Errorf("%s has not taken it back", h.Node.Self().Name)
		})
		h.Sees(t, 3)
	}
}

// stopShortly stops a process of five again and again for a while, one that
// watches the others as a director watches its workers, and checks that nobody
// fails. It returns the process.
func stopShortly(t *testing.T, stop time.Duration, times int) *process {
	t.Helper()
	dir := certDir(t)
	seed := local(t, dir, "w0")
	hs := []*history{seed}
	for i := range 3 {
		hs = append(hs, local(t, dir, fmt.Sprintf("w%d", i+1), seed))
	}
	for _, h := range hs {
		serveWorker(t, h)
	}
	p := launch(t, childConfig{Dir: dir, Name: "stopped", Listen: "127.0.0.1:0", Seeds: addrs(seed), Workers: len(hs)})
	for _, h := range hs {
		h.Sees(t, 5)
		p.Wait(t, cluster.KindNodeJoined, h.Node.Self().Name) // which it says when it watches them all
	}
	for range times {
		time.Sleep(2 * time.Second)
		p.signal(t, syscall.SIGSTOP)
		time.Sleep(stop)
		p.signal(t, syscall.SIGCONT)
	}
	time.Sleep(2 * time.Second)
	for _, h := range hs {
		if es := h.Events(cluster.KindNodeFailed, ""); len(es) > 0 {
			t.Errorf("stopped for %v: %s\n%s", stop, h.Node.Self().Name, lines(es))
		}
	}
	if es := p.Events(cluster.KindNodeFailed, ""); len(es) > 0 {
		t.Errorf("stopped for %v, it has:\n%s", stop, lines(es))
	}
	return p
}

func TestADirectorStoppedForASecondFailsNobody(t *testing.T) {
	t.Parallel()
	stopShortly(t, time.Second, 1)
}

func TestAShortStopFailsNobodyOnEitherSide(t *testing.T) {
	long(t)
	for _, stop := range []time.Duration{300 * time.Millisecond, time.Second} {
		p := stopShortly(t, stop, 5)
		// And the one that was stopped blames nobody.
		if es := p.Events(cluster.KindNodeSuspected, ""); len(es) > 0 {
			t.Errorf("stopped for %v, it has:\n%s", stop, lines(es))
		}
	}
}
