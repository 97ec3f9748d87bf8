package credentials_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/internal/tlsconn"
)

var alpn = []string{"rpcnet/1"}

func source(t testing.TB, b credentials.Bundle) *credentials.Source {
	t.Helper()
	s, err := credentials.NewSource(b, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// side is what one end of a handshake saw.
type side struct {
	state tls.ConnectionState
	err   error
}

// handshake connects the two configurations and has each side speak one byte,
// since a client in TLS 1.3 hears only then that the server refused it.
func handshake(t testing.TB, server, client *tls.Config) (s, c side) {
	t.Helper()
	a, b := net.Pipe()
	deadline := time.Now().Add(10 * time.Second)
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	run := func(raw net.Conn, conn *tls.Conn) side {
		defer raw.Close() // conn.Close waits for a reader of its last words
		if err := conn.Handshake(); err != nil {
			return side{err: err}
		}
		sent := make(chan error, 1)
		go func() { _, err := conn.Write([]byte{1}); sent <- err }()
		_, err := io.ReadFull(conn, make([]byte, 1))
		if e := <-sent; err == nil {
			err = e
		}
		return side{conn.ConnectionState(), err}
	}
	done := make(chan side)
	go func() { done <- run(a, tls.Server(a, server)) }()
	c = run(b, tls.Client(b, client))
	return <-done, c
}

func TestHandshakeNeedsTheRightCertificatesOnBothSides(t *testing.T) {
	t.Parallel()
	ca, stranger := testkit.NewCA(t), testkit.NewCA(t)
	node := source(t, testkit.Issue(t, ca, credentials.Leaf{}))
	id := "spiffe://example.org/worker"
	onlySPIFFE := source(t, testkit.Issue(t, ca, credentials.Leaf{Hosts: []string{id}}))
	both := source(t, testkit.Issue(t, ca, credentials.Leaf{Hosts: []string{id, "worker.example.org"}}))
	serverOnly := source(t, testkit.Issue(t, ca, credentials.Leaf{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}))
	clientOnly := source(t, testkit.Issue(t, ca, credentials.Leaf{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, Hosts: []string{"localhost", id}}))
	other := source(t, testkit.Issue(t, stranger, credentials.Leaf{Hosts: []string{"localhost", id}}))

	expired := node.ClientConfig("localhost", alpn)
	expired.Certificates = []tls.Certificate{keyPair(t, testkit.Issue(t, ca, credentials.Leaf{NotAfter: time.Now().Add(-time.Minute)}))}
	without := node.ClientConfig("localhost", alpn)
	without.Certificates = nil
	old := node.ClientConfig("localhost", alpn)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	mute := node.ClientConfig("localhost", nil)
	noALPN := node.ServerConfig(nil)

	cases := []struct {
		name           string
		server, client *tls.Config
		refusedBy      string // "", "server" or "client"
		says           string
	}{
		{"DNS name", node.ServerConfig(alpn), node.ClientConfig("localhost", alpn), "", ""},
		{"IPv4 address", node.ServerConfig(alpn), node.ClientConfig("127.0.0.1", alpn), "", ""},
		{"IPv6 address", node.ServerConfig(alpn), node.ClientConfig("::1", alpn), "", ""},
		{"name beside a SPIFFE id", both.ServerConfig(alpn), node.ClientConfig("worker.example.org", alpn), "", ""},
		{"other name", node.ServerConfig(alpn), node.ClientConfig("example.org", alpn), "client", "example.org"},
		{"other address", node.ServerConfig(alpn), node.ClientConfig("127.0.0.2", alpn), "client", "127.0.0.2"},
		{"SPIFFE id dialled by name", onlySPIFFE.ServerConfig(alpn), node.ClientConfig("localhost", alpn), "client", "localhost"},
		{"server of another CA", other.ServerConfig(alpn), node.ClientConfig("localhost", alpn), "client", "unknown authority"},
		{"client of another CA", node.ServerConfig(alpn), withRoots(other, node), "server", "unknown authority"},
		{"client without certificate", node.ServerConfig(alpn), without, "server", "certificate"},
		{"expired client", node.ServerConfig(alpn), expired, "server", "expired"},
		{"client with a certificate for servers", node.ServerConfig(alpn), serverOnly.ClientConfig("localhost", alpn), "server", "usage"},
		{"server with a certificate for clients", clientOnly.ServerConfig(alpn), node.ClientConfig("localhost", alpn), "client", "usage"},
		{"TLS 1.2", node.ServerConfig(alpn), old, "server", "version"},
		{"wrong protocol", node.ServerConfig(alpn), node.ClientConfig("localhost", []string{"h2"}), "server", "protocol"},
		{"client without a protocol", node.ServerConfig(alpn), mute, "server", "negotiates no application protocol"},
		{"server without a protocol", noALPN, node.ClientConfig("localhost", alpn), "client", "negotiates no application protocol"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, cl := handshake(t, c.server, c.client)
			if c.refusedBy == "" {
				if s.err != nil || cl.err != nil {
					t.Fatalf("server: %v, client: %v", s.err, cl.err)
				}
				if v := s.state.Version; v != tls.VersionTLS13 {
					t.Errorf("version %x, want TLS 1.3", v)
				}
				return
			}
			if s.err == nil || cl.err == nil {
				t.Fatalf("server: %v, client: %v: want both to fail", s.err, cl.err)
			}
			err := s.err
			if c.refusedBy == "client" {
				err = cl.err
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("the %s says %q, want something about %q", c.refusedBy, err, c.says)
			}
		})
	}
}

// withRoots is a client that trusts the server, with a certificate that the
// server has no reason to trust.
func withRoots(cert, roots *credentials.Source) *tls.Config {
	c := cert.ClientConfig("localhost", alpn)
	c.RootCAs = roots.ClientConfig("localhost", alpn).RootCAs
	return c
}

func keyPair(t testing.TB, b credentials.Bundle) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair(b.Cert, b.Key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSessionsAreNotResumed(t *testing.T) {
	t.Parallel()
	node := source(t, testkit.Issue(t, testkit.NewCA(t), credentials.Leaf{}))
	server, client := node.ServerConfig(alpn), node.ClientConfig("localhost", alpn)
	client.SessionTicketsDisabled = false
	client.ClientSessionCache = tls.NewLRUClientSessionCache(8) // a client that would
	for range 3 {
		s, c := handshake(t, server, client)
		if s.err != nil || c.err != nil {
			t.Fatal(s.err, c.err)
		}
		if s.state.DidResume || c.state.DidResume {
			t.Fatal("resumed: the certificate of the peer was not verified against the present authorities")
		}
	}
}

func TestIdentityPrefersSPIFFEThenNamesThenAddressesThenCommonName(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	server := source(t, testkit.Issue(t, ca, credentials.Leaf{}))
	cases := []struct {
		leaf  credentials.Leaf
		id    string
		names []string
	}{
		{credentials.Leaf{Hosts: []string{"a.example.org", "spiffe://example.org/a", "10.0.0.1"}}, "spiffe://example.org/a", []string{"a.example.org", "10.0.0.1"}},
		{credentials.Leaf{Hosts: []string{"::1", "a.example.org", "b.example.org"}}, "a.example.org", []string{"a.example.org", "b.example.org", "::1"}},
		{credentials.Leaf{Hosts: []string{"10.0.0.1", "10.0.0.2"}}, "10.0.0.1", []string{"10.0.0.1", "10.0.0.2"}},
		{credentials.Leaf{Hosts: []string{}, CommonName: "a node"}, "a node", nil},
	}
	for _, c := range cases {
		client := source(t, testkit.Issue(t, ca, c.leaf))
		near, far := net.Pipe()
		shaken := make(chan error, 1)
		go func() { shaken <- tls.Client(near, client.ClientConfig("localhost", alpn)).Handshake() }()
		conn, err := tlsconn.Accept(t.Context(), far, server, credentials.Accept{ALPN: alpn})
		if err := errors.Join(err, <-shaken); err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		chain := conn.Chain()
		id, names := credentials.Identity(chain)
		if id != c.id || !slices.Equal(names, c.names) {
			t.Errorf("identity %q, names %q, want %q, %q", id, names, c.id, c.names)
		}
		if len(chain) != 2 || !chain[1].IsCA {
			t.Errorf("chain of %d certificates, want leaf and authority", len(chain))
		}
	}
	if id, names := credentials.Identity(nil); id != "" || names != nil {
		t.Errorf("identity of nobody: %q %q", id, names)
	}
}
