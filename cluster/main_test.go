package cluster_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if arg := os.Getenv(childVar); arg != "" {
		if err := runChild(arg); err != nil {
			fmt.Fprintln(os.Stderr, "node process:", err)
			os.Exit(1)
		}
		return
	}
	// These tests wait more than they compute: more of them at once than there
	// are processors.
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		f.Value.Set(fmt.Sprint(2 * runtime.GOMAXPROCS(0)))
	}
	status := m.Run()
	// A probe that memberlist has under way when a node is closed waits for its
	// timer: ProbeInterval times up to 8.
	if status == 0 {
		err := goleak.Find()
		for deadline := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(deadline); {
			err = goleak.Find()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}
