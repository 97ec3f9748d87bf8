//go:build linux || darwin

package gen_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/platform"
)

// TestContractOfSomePlatformsSendsUnionsOfOthers: a union has one codec, in the
// file that declares it.
func TestContractOfSomePlatformsSendsUnionsOfOthers(t *testing.T) {
	t.Parallel()
	srv := rpcnet.NewServer(nil)
	killed := platform.Killed{Signal: platform.Hangup{Tree: platform.Leaf{}}}
	platform.RegisterUnix(srv, &platform.UnixFuncs{
		GetFunc: func(context.Context, *platform.Both) (*platform.Both, error) { return nil, killed },
		TurnFunc: func(_ context.Context, req platform.Tree) (platform.Tree, error) {
			b := req.(platform.Branch)
			return platform.Branch{Left: b.Right, Right: b.Left}, nil
		},
		SendFunc: func(_ context.Context, req *platform.Branch) (*platform.Package, error) {
			return &platform.Package{Tree: *req, Hidden: platform.Something{}, Signal: platform.Hangup{Tree: req.Left}}, nil
		},
	})
	tr := rpcnet.InProcess(srv)
	defer tr.Close()
	c, ctx := platform.NewUnixClient(tr), t.Context()

	small, large := platform.Leaf{Both: platform.Both{X: 1}}, platform.Leaf{Both: platform.Both{X: 2}}
	turned, err := c.Turn(ctx, platform.Branch{Left: small, Right: large})
	if want := (platform.Branch{Left: large, Right: small}); err != nil || !reflect.DeepEqual(turned, want) {
		t.Errorf("%+v, %v; want %+v", turned, err, want)
	}
	sent, err := c.Send(ctx, &platform.Branch{Left: small, Right: large})
	want := &platform.Package{Tree: platform.Branch{Left: small, Right: large}, Hidden: platform.Something{}, Signal: platform.Hangup{Tree: small}}
	if err != nil || !reflect.DeepEqual(sent, want) {
		t.Errorf("%+v, %v; want %+v", sent, err, want)
	}
	var got platform.Killed
	if _, err := c.Get(ctx, new(platform.Both)); !errors.As(err, &got) || !reflect.DeepEqual(got, killed) {
		t.Errorf("%v; want %v", err, killed)
	}
}
