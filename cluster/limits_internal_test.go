package cluster

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet"
)

// TestFieldEveryLimitOfAMembersStreamsSaysWhatIsRight: who comes to a limit of a
// node is told the limit.
func TestFieldEveryLimitOfAMembersStreamsSaysWhatIsRight(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		exceed func() error
		want   []string
	}{
		"events, one certificate": {func() error { return eventsBy(func(int) string { return "a" }) }, []string{"a certificate may have 16", "all together 256"}},
		"events, all":             {func() error { return eventsBy(func(i int) string { return fmt.Sprint(i / 16) }) }, []string{"a certificate may have 16", "all together 256"}},
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

// eventsBy begins streams of events until one is refused.
func eventsBy(who func(i int) string) error {
	streams := newEventStreams()
	for i := range maxEventStreams + 1 {
		if _, err := streams.begin(who(i)); err != nil {
			return err
		}
	}
	return nil
}
