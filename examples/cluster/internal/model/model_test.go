package model_test

import (
	"fmt"
	"testing"

	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/model"
)

func ExampleToken() {
	fmt.Println(model.Token(0, 1), model.Token(0, 2))
	fmt.Println(model.Token(7, 1), model.Token(7, 2), model.Token(7, 3))
	// Output:
	// token-1 token-2
	// kegufi guzu pubiga
}

func TestTokensOfDifferentSeedsDiffer(t *testing.T) {
	t.Parallel()
	same := 0
	for n := range uint64(1000) {
		if model.Token(1, n) == model.Token(2, n) {
			same++
		}
	}
	if same > 20 {
		t.Errorf("%d of 1000 tokens are the same for two seeds", same)
	}
}
