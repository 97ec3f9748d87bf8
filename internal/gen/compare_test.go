package gen

import (
	"testing"

	"github.com/rpcnet-go/rpcnet/codegen"
)

func TestDefaultSizeIsThatOfServersAndClients(t *testing.T) {
	t.Parallel()
	if defaultMaxSize != codegen.DefaultMaxMessageSize {
		t.Errorf("-breaking takes %d for the default size of a message, servers %d", defaultMaxSize, codegen.DefaultMaxMessageSize)
	}
}
