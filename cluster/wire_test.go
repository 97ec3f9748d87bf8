package cluster_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// A wire is two network namespaces with an interface each, of the namespace's
// name, that lead to each other.
type wire struct {
	t        testing.TB
	one, two string
}

var wires atomic.Int64

// newWire makes one, without addresses, or skips the test where that is not
// possible. Before that, prepare makes what is to come first in each namespace.
func newWire(t testing.TB, prepare ...func(w *wire, namespace string)) *wire {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("the command ip of iproute2 is not installed")
	}
	tag := fmt.Sprintf("rn%d-%d", os.Getpid()%100000, wires.Add(1))
	w := &wire{t, tag + "a", tag + "b"}
	for _, name := range []string{w.one, w.two} {
		if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
			t.Skipf("this system lets nobody make a network namespace: %s", out)
		}
		t.Cleanup(func() { exec.Command("ip", "netns", "del", name).Run() })
		for _, f := range prepare {
			f(w, name)
		}
	}
	w.ip(fmt.Sprintf("link add %s netns %s type veth peer name %s netns %s", w.one, w.one, w.two, w.two))
	for _, name := range []string{w.one, w.two} {
		w.ip("-n " + name + " link set " + name + " up")
		w.ip("-n " + name + " link set lo up")
	}
	return w
}

// ip runs the command ip.
func (w *wire) ip(args string) {
	w.t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		w.t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}
