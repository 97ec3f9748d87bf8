//go:build unix

package rpcnet_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// A forger makes certificates that no authority of the endpoint has signed.
type forger struct {
	testing.TB
	curve  elliptic.Curve
	serial int64
}

func (f *forger) key() *ecdsa.PrivateKey {
	f.Helper()
	k, err := ecdsa.GenerateKey(f.curve, rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	return k
}

// cert makes a certificate of subject for key, said to be of issuer and signed by
// signer.
func (f *forger) cert(subject, issuer string, key, signer *ecdsa.PrivateKey, names ...string) []byte {
	f.Helper()
	f.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(f.serial), Subject: pkix.Name{CommonName: subject}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: issuer}}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		f.Fatal(err)
	}
	return der
}

// knock shows a chain to an endpoint, which must refuse it.
func knock(t testing.TB, ep *rpcnet.Endpoint, chain [][]byte, key *ecdsa.PrivateKey) {
	t.Helper()
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"rpcnet/1"}, InsecureSkipVerify: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { // whatever is asked for
			return &tls.Certificate{Certificate: chain, PrivateKey: key}, nil
		},
	}
	c, err := dialTLS(t, ep.Addr().String(), cfg)
	if err != nil {
		return
	}
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a stranger's certificate is welcome")
	}
	c.NetConn().Close()
}

// A stranger shows chains that are dear to verify: many candidates for the issuer
// of one certificate, and the dearest that keeps to the limits.
func TestAttack04ChainsThatAreDearToVerify(t *testing.T) {
	ep, err := rpcnet.Listen("127.0.0.1:0", newParty(t, testkit.NewCA(t), credentials.Leaf{}).creds, &rpcnet.EndpointConfig{Logger: (&testkit.Log{}).Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	f := &forger{TB: t, curve: elliptic.P521()}
	key := f.key()
	var candidates [][]byte
	for range 119 {
		k := f.key()
		candidates = append(candidates, f.cert("issuer", "issuer", k, k))
	}
	many := slices.Concat([][]byte{f.cert("leaf", "issuer", key, f.key(), "leaf")}, candidates)
	// Certificates each of which is signed by all of the next subject: every path
	// is tried.
	mesh := func(subjects ...int) [][]byte {
		signer := f.key()
		chain := [][]byte{f.cert("s0", "s1", key, signer, "leaf")}
		for i, n := range subjects {
			issuer := f.key()
			for range n {
				chain = append(chain, f.cert(fmt.Sprint("s", i+1), fmt.Sprint("s", i+2), signer, issuer, fmt.Sprint("name", f.serial)))
			}
			signer = issuer
		}
		return chain
	}
	const bound = 40 * time.Millisecond // a handshake takes 4 ms, the chain of 120 took 366
	for name, chain := range map[string][][]byte{
		"chain of 120 candidate issuers": many, "mesh of 10 certificates": mesh(2, 2, 2, 2, 1), "mesh of 8 certificates": mesh(2, 1, 1, 1, 1, 1),
	} {
		const n = 5
		knock(t, ep, chain, key)
		before := testkit.ProcessorTime(t)
		for range n {
			knock(t, ep, chain, key)
		}
		each := (testkit.ProcessorTime(t) - before) / n
		redteam(t, name, fmt.Sprintf("%v of CPU for a handshake", bound), each)
		if limit := bound * time.Duration(slowdown); each > limit {
			t.Errorf("%s: %v of CPU for a handshake, want less than %v", name, each, limit)
		}
	}
	stopsInTime(t, ep)
}

// slowdown is how much slower processors are under the race detector.
var slowdown = map[bool]int{false: 1, true: 10}[raceEnabled]

// A stranger's certificates are as large and carry as many names as it likes:
// what is over the limits is refused before it is verified, and read no further.
func TestAttack04CertificatesOverTheLimits(t *testing.T) {
	var out testkit.Log
	ep, err := rpcnet.Listen("127.0.0.1:0", newParty(t, testkit.NewCA(t), credentials.Leaf{}).creds, &rpcnet.EndpointConfig{Logger: out.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	f := &forger{TB: t, curve: elliptic.P256()}
	key := f.key()
	names := func(n, length int) []string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf("%s%d", strings.Repeat("n", length), i)
		}
		return all
	}
	for says, chain := range map[string][][]byte{
		"257 names":             {f.cert("leaf", "issuer", key, key, names(257, 1)...)},
		"a name of 3001 bytes":  {f.cert("leaf", "issuer", key, key, names(1, 3000)...)},
		"bytes of certificates": {f.cert("leaf", "issuer", key, key), f.cert("a", "a", key, key, names(22, 3000)...)},
		"more than 80 KiB":      {f.cert("leaf", "issuer", key, key), f.cert("a", "a", key, key, names(60, 3000)...)},
		"there twice":           {f.cert("leaf", "a", key, key), f.cert("a", "a", key, key), f.cert("a", "a", key, key), f.cert("a", "a", key, key)},
	} {
		eventually(t, "the log says "+says, func() bool { // lines are few in a second
			knock(t, ep, chain, key)
			return strings.Contains(out.String(), says)
		})
	}
	stopsInTime(t, ep)
}

// Strangers fill the log: with names of 30 KB in the certificates they show, and
// callers with calls that fail.
func TestAttack11TextInTheLog(t *testing.T) {
	var out testkit.Log
	node := newParty(t, testkit.NewCA(t), credentials.Leaf{})
	ep, err := rpcnet.Listen("127.0.0.1:0", node.creds, &rpcnet.EndpointConfig{Logger: out.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	srv := echoServer(nil)
	srv.Handle("fail", func(_ context.Context, in []byte) ([]byte, error) { return nil, errors.New(string(in)) })
	srv.Handle("panic", func(_ context.Context, in []byte) ([]byte, error) { panic(string(in)) })
	serving(ep, srv)
	caller, err := rpcnet.Dial(within(t), ep.Addr().String(), node.creds, &rpcnet.DialConfig{Logger: rpctest.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	f := &forger{TB: t, curve: elliptic.P256()}
	key, long := f.key(), strings.Repeat("n", 30_000)
	chains := [][][]byte{
		{f.cert("leaf", long, key, key), f.cert(long, long, key, key)},
		{f.cert(long, "issuer", key, key)},
		{f.cert("leaf", "issuer", key, key, long)},
	}
	begin, written := time.Now(), len(out.String())
	for i := range 150 {
		knock(t, ep, chains[i%len(chains)], key)
		rpcnet.CallRaw(within(t), caller, "fail", []byte(long))
		rpcnet.CallRaw(within(t), caller, "panic", []byte(long))
	}
	took := time.Since(begin)
	rate := float64(len(out.String())-written) / max(1, took.Seconds()) / 1024
	const bound = 64
	redteam(t, "text of 30 KB in certificates and errors, 450 times", fmt.Sprintf("%d KiB of log in a second", bound), fmt.Sprintf("%.1f KiB", rate))
	if rate > bound {
		t.Errorf("%.1f KiB of log in a second", rate)
	}
	if s := out.String(); !strings.Contains(s, "suppressed") && took > 2*time.Second {
		t.Error("nobody is told how many lines were left out")
	}
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, long[:1000]) {
			t.Errorf("a line of %d bytes with a text of a peer", len(line))
			break
		}
	}
	stopsInTime(t, ep)
}
