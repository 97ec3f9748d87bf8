package workers_test

import (
	"os"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/clustertest"
)

func TestMain(m *testing.M) { os.Exit(clustertest.Main(m)) }
