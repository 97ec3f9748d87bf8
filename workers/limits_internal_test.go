package workers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/load"
)

// TestFieldEveryLimitOfAWorkersStreamsSaysWhatIsRight: who comes to a limit of a
// worker is told the limit.
func TestFieldEveryLimitOfAWorkersStreamsSaysWhatIsRight(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		exceed func() error
		want   []string
	}{
		"reports, one certificate": {func() error { return reportsTo(func(int) string { return "a" }) }, []string{`256 balancers of "a"`, "give each node a certificate of its own"}},
		"reports, all":             {func() error { return reportsTo(func(i int) string { return fmt.Sprint(i / 256) }) }, []string{"1024 balancers", "the most it serves"}},
	} {
		err := c.exceed()
		if rpcnet.CodeOf(err) != rpcnet.CodeResourceExhausted {
			t.Errorf("%s: %v, want ResourceExhausted", name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
}

// reportsTo begins streams of reports of a worker until one is refused.
func reportsTo(who func(i int) string) error {
	w := &Worker{reports: map[*reportStream]struct{}{}, ledger: load.NewLedger(1, load.Limits{Capacity: 16})}
	for i := range maxReportStreams + 1 {
		v := &reportStream{wake: make(chan struct{}, 1), peer: who(i), hello: reportHello{balancer: uint64(i + 1), key: [load.SecretSize]byte{1}}}
		if err := w.enter(v); err != nil {
			return err
		}
	}
	return nil
}
