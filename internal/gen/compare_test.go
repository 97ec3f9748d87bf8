package gen

import (
	"testing"

	"github.com/rpcnet-go/rpcnet"
)

func TestDefaultSizeIsThatOfServersAndClients(t *testing.T) {
	t.Parallel()
	if defaultMaxSize != rpcnet.DefaultMaxMessageSize {
		t.Errorf("-breaking takes %d for the default size of a message, servers %d", defaultMaxSize, rpcnet.DefaultMaxMessageSize)
	}
}
