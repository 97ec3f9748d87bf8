package cluster_test

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/certs"
)

func TestStranger(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	director, _, _ := f.startPair()
	director.skip()
	// One has everything from another authority, the other one trusts ours but
	// has no certificate of it.
	foreign, pretender := t.TempDir(), t.TempDir()
	for _, dir := range []string{foreign, pretender} {
		if _, err := certs.Make(dir, nil); err != nil {
			t.Fatal(err)
		}
	}
	ours, err := os.ReadFile(filepath.Join(certDir, certs.CA))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pretender, certs.CA), ours, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dir, says string }{{foreign, "bad certificate"}, {pretender, "unknown authority"}} {
		// As a worker it does not get into the cluster.
		director.skip()
		worker := f.startWorker("worker-x", "CERT_DIR="+c.dir)
		director.await("refused a connection", c.says)
		worker.await("⏳ Director at " + f.director + " does not answer - still trying")
		worker.Kill()
		// As a client it gets no answer.
		director.skip()
		client := f.startClient("CERT_DIR=" + c.dir)
		director.await("refused a connection", c.says)
		client.await("⚠️  No worker assigned", "no director answers")
		client.Kill()
	}

	// Nor does somebody without a certificate.
	for _, alpn := range []string{"rpcnet/1", "rpcnet-gossip/1"} {
		director.skip()
		c, err := tls.Dial("tcp", f.director, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}})
		if err == nil {
			_, err = c.Read(make([]byte, 1)) // in TLS 1.3 the refusal comes after the client's handshake
			c.Close()
		}
		if err == nil {
			t.Errorf("%s: accepted without a certificate", alpn)
		}
		director.await("refused a connection", "certificate")
	}
	// Nor do packets that nobody sealed.
	udp, err := net.Dial("udp", f.director)
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for i := range 100 {
		packet := make([]byte, 1+10*i)
		packet[0] = byte(i) & 0x3f
		udp.Write(packet)
	}

	// None of it has had an effect.
	director.skip()
	director.await("2 workers available")
	director.none("worker-x", "compute failed")
	good := f.startClient("TOKENS=5", "TOKEN_INTERVAL=10ms")
	good.ended(0)
	good.tokens(5, 0)
}
