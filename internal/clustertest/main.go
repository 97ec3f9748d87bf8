package clustertest

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Main runs the tests of a package, fails if they leave goroutines behind, and
// returns the status to exit with. It is called from TestMain. Goroutines are
// counted after all tests, because tests that run at once see those of others. They
// are not counted if a test has failed, since its cleanup can be what is missing.
func Main(m *testing.M) int {
	// These tests wait more than they compute, so twice as many run at once as
	// there are processors, unless -parallel says otherwise.
	// m.Run would parse the flags too late for that.
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		f.Value.Set(fmt.Sprint(2 * runtime.GOMAXPROCS(0)))
	}
	status := m.Run()
	// A probe of memberlist that is under way when its node is closed ends with
	// its timer, after up to 8 ProbeIntervals. So leaks are looked for again for a
	// while.
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
	return status
}
