package rpcnet_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// The certificate of a node may be replaced while it works, well or badly: no
// call is lost, and the next connection has the last good one.
func TestCertificatesAreReloadedWithoutALostCall(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	issue := func() credentials.Bundle {
		b, err := ca.Issue(credentials.Leaf{})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(b credentials.Bundle) {
		for name, content := range map[string][]byte{"cert.pem": b.Cert, "key.pem": b.Key, "ca.pem": b.CA} {
			if err := os.WriteFile(at(name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(issue())
	creds := rpcnet.CertFiles(at("cert.pem"), at("key.pem"), at("ca.pem")).WithPoll(10 * time.Millisecond)
	var out testkit.Log
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: out.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	srv := echoServer(nil)
	entered, release := held(srv)
	go ep.Serve(context.Background(), srv)
	p := rpctest.NewProxy(t, ep.Addr().String())
	var dialled testkit.Log
	conn, err := rpcnet.Dial(within(t), p.Addr(), creds, &rpcnet.DialConfig{Logger: dialled.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	serial := func() string { return conn.Peer().Chain[0].SerialNumber.String() }
	ready := rpcnet.NewClient(conn, &rpcnet.ClientConfig{Call: rpcnet.CallOptions{WaitForReady: true}})
	mustEcho(t, ready, nil)
	good := serial()
	second := issue()
	for _, step := range []struct {
		name    string
		replace func()
		says    string
		taken   bool
	}{
		{"good files", func() { write(second) }, "reloaded", true},
		{"a key that does not fit", func() { write(credentials.Bundle{Cert: second.Cert, Key: issue().Key, CA: second.CA}) }, "does not fit", false},
		{"no certificate", func() { os.Remove(at("cert.pem")) }, "no such file", false},
		{"good files again", func() { write(issue()) }, "reloaded", true},
	} {
		inFlight := make(chan error, 1)
		go func() { _, err := rpcnet.CallRaw(within(t), conn, "hold", nil); inFlight <- err }()
		hctx := <-entered
		ep, dial := strings.Count(out.String(), step.says), strings.Count(dialled.String(), step.says)
		step.replace()
		eventually(t, step.name+": both sides look at the files", func() bool {
			mustEcho(t, conn, []byte("meanwhile"))
			return strings.Count(out.String(), step.says) > ep && strings.Count(dialled.String(), step.says) > dial
		})
		if hctx.Err() != nil || serial() != good {
			t.Errorf("%s: the connection that stands has changed", step.name)
		}
		release <- struct{}{}
		if err := <-inFlight; err != nil {
			t.Errorf("%s: the call in flight: %v", step.name, err)
		}
		_, changed := conn.Ready()
		p.Cut()
		<-changed
		mustEcho(t, ready, []byte("connected anew"))
		if changed := serial() != good; changed != step.taken {
			t.Errorf("%s: the next connection has another certificate: %v, want %v", step.name, changed, step.taken)
		}
		good = serial()
	}
}
