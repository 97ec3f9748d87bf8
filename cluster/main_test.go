package cluster_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/clustertest"
)

func TestMain(m *testing.M) {
	if arg := os.Getenv(childVar); arg != "" {
		if err := runChild(arg); err != nil {
			fmt.Fprintln(os.Stderr, "node process:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(clustertest.Main(m))
}
