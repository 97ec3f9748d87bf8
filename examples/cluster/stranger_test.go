package cluster_test

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/certs"
)

func TestStranger(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	director, _, _ := f.startPair()
	director.skip()
	other := t.TempDir()
	if _, err := certs.Make(other, nil); err != nil {
		t.Fatal(err)
	}

	// A worker with certificates of another authority does not get in.
	worker := f.startWorker("worker-x", "CERT_DIR="+other)
	worker.await("⏳ Director at " + f.director + " does not answer - still trying")
	director.await("refused a connection", "unknown authority")
	// Nor does such a client get an answer.
	client := f.startClient("CERT_DIR=" + other)
	client.await("⚠️  director at " + f.director + " does not answer")

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

	director.skip()
	director.await("2 workers available") // and not three, or one
	if s := director.find("worker-x", "NodeFailed", "compute failed"); s != "" {
		t.Errorf("the stranger had an effect: %s", s)
	}
	good := f.startClient("TOKENS=5", "TOKEN_INTERVAL=10ms")
	good.ended(0)
	good.tokens(5, 0)
}
