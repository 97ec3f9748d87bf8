package e2e_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/bridge"
	"github.com/rpcnet-go/rpcnet/examples/greeting"
	"github.com/rpcnet-go/rpcnet/internal/certs"
)

// A site is the greeting example with a bridge, in the process of the test.
type site struct {
	url string
	dir string // of the certificates
}

// siteToken is a token with the role call. siteBody is the size of the largest body.
const (
	siteToken = "a-token-of-the-test"
	siteBody  = 64 << 10
)

type greeter struct{}

// Hello greets, but "slow" waits until the caller has no more time.
func (greeter) Hello(ctx context.Context, req *greeting.HelloRequest) (*greeting.HelloResponse, error) {
	switch req.Name {
	case "":
		return nil, &greeting.NoName{Hint: "say who you are"}
	case "slow":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &greeting.HelloResponse{Text: "Hello, " + req.Name + "!"}, nil
}

func (greeter) Count(_ context.Context, req *greeting.CountRequest) iter.Seq2[*greeting.HelloResponse, error] {
	return func(yield func(*greeting.HelloResponse, error) bool) {
		for i := range req.Times {
			if !yield(&greeting.HelloResponse{Text: fmt.Sprintf("%d: hello, %s", i+1, req.Name)}, nil) {
				return
			}
		}
	}
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	if _, err := certs.Make(dir, nil); err != nil {
		t.Fatal(err)
	}
	tokens := filepath.Join(dir, "tokens.txt")
	if err := os.WriteFile(tokens, fmt.Appendf(nil, "%x call tester\n", sha256.Sum256([]byte(siteToken))), 0o600); err != nil {
		t.Fatal(err)
	}
	cert, key, ca := filepath.Join(dir, certs.Cert), filepath.Join(dir, certs.Key), filepath.Join(dir, certs.CA)
	ep, err := rpcnet.Listen("127.0.0.1:0", rpcnet.CertFiles(cert, key, ca), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ep.Close() })
	srv := rpcnet.NewServer(nil)
	greeting.RegisterGreeting(srv, greeter{})
	go ep.Serve(context.Background(), srv)
	conn := rpcnet.InProcess(srv)
	t.Cleanup(func() { conn.Close() })
	b, err := bridge.New(conn, &bridge.Config{Services: []string{greeting.GreetingName}, Tokens: tokens, MaxBody: siteBody})
	if err != nil {
		t.Fatal(err)
	}
	stop, err := b.Serve(ep)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return &site{"https://" + ep.Addr().String(), dir}
}
