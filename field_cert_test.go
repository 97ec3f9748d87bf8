package rpcnet_test

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
)

// certDir is a folder of the three files of a node.
type certDir struct {
	t   *testing.T
	dir string
}

func newCertDir(t *testing.T, b credentials.Bundle) certDir {
	d := certDir{t, t.TempDir()}
	d.write(b)
	return d
}

func (d certDir) at(name string) string { return filepath.Join(d.dir, name) }

// write writes the parts of b that are there, the authorities last, as a renewal does.
func (d certDir) write(b credentials.Bundle) {
	for _, f := range []struct {
		name    string
		content []byte
	}{{"key.pem", b.Key}, {"cert.pem", b.Cert}, {"ca.pem", b.CA}} {
		if f.content == nil {
			continue
		}
		if err := os.WriteFile(d.at(f.name), f.content, 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
}

// listen opens an endpoint that looks at the files all the time.
func (d certDir) listen(out *testkit.Log) *rpcnet.Endpoint {
	creds := rpcnet.CertFiles(d.at("cert.pem"), d.at("key.pem"), d.at("ca.pem")).WithPoll(10 * time.Millisecond)
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: out.Logger()})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { ep.Close() })
	return ep
}

func notAfter(ep *rpcnet.Endpoint) string {
	return ep.Stats().CertificateNotAfter.UTC().Format(time.RFC3339)
}

// A renewed certificate that is not valid yet is taken when it is.
func TestFieldACertificateThatBecomesValidLater(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	var out testkit.Log
	first := testkit.Issue(t, ca, credentials.Leaf{})
	d := newCertDir(t, first)
	ep := d.listen(&out)
	before := notAfter(ep)
	valid := time.Now().Add(1500 * time.Millisecond).Truncate(time.Second).Add(time.Second)
	d.write(testkit.Issue(t, ca, credentials.Leaf{NotBefore: valid, NotAfter: valid.Add(time.Hour)}))
	eventually(t, "it is refused", func() bool { return strings.Contains(out.String(), "not valid before") })
	if got := notAfter(ep); got != before {
		t.Fatalf("it is in use before its time: %s", got)
	}
	bound := 5 * time.Second
	for deadline := valid.Add(bound); notAfter(ep) == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%v after it has become valid it is not in use", bound)
		}
	}
	if n := strings.Count(out.String(), "not valid before"); n != 1 {
		t.Errorf("%d lines say that it is not valid yet, want 1", n)
	}
	t.Logf("field | a renewed certificate that becomes valid later | in use within %v of that moment | after %v, one line meanwhile", bound, time.Since(valid).Round(time.Millisecond))
}

// A change of the authority in the wrong order leaves the good certificate in use.
func TestFieldTheWrongOrderOfAChangeOfTheAuthority(t *testing.T) {
	t.Parallel()
	oldCA, newerCA := testkit.NewCA(t), testkit.NewCA(t)
	var out testkit.Log
	first := testkit.Issue(t, oldCA, credentials.Leaf{})
	d := newCertDir(t, first)
	ep := d.listen(&out)
	serving(ep, echoServer(nil))
	peer := newParty(t, oldCA, credentials.Leaf{})
	reaches := func() error {
		conn, err := rpcnet.Dial(within(t), ep.Addr().String(), peer.creds, nil)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	wrong := []struct {
		name string
		b    credentials.Bundle
		says string
	}{
		{"a certificate of the new authority, without it", withoutCA(testkit.Issue(t, newerCA, credentials.Leaf{})), "not signed by an authority"},
		{"the new authority alone, and the old certificate", credentials.Bundle{Key: first.Key, Cert: first.Cert, CA: newerCA.CertPEM()}, "not signed by an authority"},
		{"a certificate for clients alone", testkit.Issue(t, oldCA, credentials.Leaf{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), "as a server's"},
		{"a certificate for servers alone", testkit.Issue(t, oldCA, credentials.Leaf{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), "as a client's"},
	}
	serial := func() string { return ep.Self().Chain[0].SerialNumber.String() }
	before := serial()
	for _, step := range wrong {
		d.write(step.b)
		eventually(t, step.name+": it is refused", func() bool { return strings.Contains(ep.Stats().CertificateRefused, step.says) })
		if serial() != before {
			t.Errorf("%s: it is in use", step.name)
		}
		if err := reaches(); err != nil {
			t.Errorf("%s: peers do not accept the node any more: %v", step.name, err)
		}
		d.write(first)
		eventually(t, step.name+": the good files are back", func() bool { return ep.Stats().CertificateRefused == "" })
	}
	both := append(append([]byte{}, oldCA.CertPEM()...), newerCA.CertPEM()...)
	d.write(credentials.Bundle{Key: first.Key, Cert: first.Cert, CA: both})
	eventually(t, "both authorities are taken", func() bool { return ep.Stats().CertificateRefused == "" })
	d.write(withoutCA(testkit.Issue(t, newerCA, credentials.Leaf{})))
	eventually(t, "the new certificate is taken", func() bool { return serial() != before })
	t.Logf("field | a change of the authority in the wrong order | the old certificate stays, the right order is taken | %d wrong steps refused", len(wrong))
}

func withoutCA(b credentials.Bundle) credentials.Bundle {
	b.CA = nil
	return b
}

// When the certificate in use is about to end, and its successor is refused, one
// line is loud, and the endpoint's figures say it.
func TestFieldARefusedSuccessorNearTheEndIsLoud(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	var out testkit.Log
	d := newCertDir(t, testkit.Issue(t, ca, credentials.Leaf{NotAfter: time.Now().Add(time.Hour)}))
	ep := d.listen(&out)
	d.write(withoutCA(testkit.Issue(t, testkit.NewCA(t), credentials.Leaf{})))
	eventually(t, "the loud line", func() bool { return strings.Contains(out.String(), "level=ERROR") })
	eventually(t, "the figures", func() bool { return ep.Stats().CertificateRefused != "" })
	if n := strings.Count(out.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d loud lines, want 1:\n%s", n, &out)
	}
	for _, want := range []string{"about to end", "not signed by an authority"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line says %q", want)
		}
	}
	d.write(testkit.Issue(t, ca, credentials.Leaf{}))
	eventually(t, "a good one is taken", func() bool { return ep.Stats().CertificateRefused == "" })
	t.Logf("field | a refused successor while the certificate ends | 1 line at Error and a figure | 1, %q", "not signed by an authority of the CA file")
}

// What peers will refuse is told at the start, with what to change.
func TestFieldTheStartSaysWhatPeersWillRefuse(t *testing.T) {
	t.Parallel()
	ca, other := testkit.NewCA(t), testkit.NewCA(t)
	foreign := testkit.Issue(t, other, credentials.Leaf{})
	foreign.CA = ca.CertPEM()
	for _, c := range []struct {
		name   string
		bundle credentials.Bundle
		says   []string // none: nothing is to be said
	}{
		{"servers alone", testkit.Issue(t, ca, credentials.Leaf{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), []string{"for servers alone", "clientAuth"}},
		{"clients alone", testkit.Issue(t, ca, credentials.Leaf{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), []string{"for clients alone", "serverAuth"}},
		{"neither", testkit.Issue(t, ca, credentials.Leaf{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}), []string{"neither for servers nor for clients"}},
		{"no name", testkit.Issue(t, ca, credentials.Leaf{Hosts: []string{}}), []string{"no DNS name, no IP address and no SPIFFE id"}},
		{"another authority", foreign, []string{"not signed by an authority", "add its authority"}},
		{"a good one", testkit.Issue(t, ca, credentials.Leaf{}), nil},
		{"a SPIFFE id alone", testkit.Issue(t, ca, credentials.Leaf{Hosts: []string{"spiffe://prod.example/a"}}), nil},
	} {
		var out testkit.Log
		newCertDir(t, c.bundle).listen(&out).Close()
		lines := strings.Count(out.String(), "level=WARN")
		if want := min(len(c.says), 1); lines != want {
			t.Errorf("%s: %d warnings, want %d:\n%s", c.name, lines, want, &out)
		}
		for _, says := range c.says {
			if !strings.Contains(out.String(), says) {
				t.Errorf("%s: no line says %q:\n%s", c.name, says, &out)
			}
		}
	}
	t.Log("field | a certificate that peers will refuse (usage, authority, names) | one line at the start says what to change | 5 of 5")
}

// The zone of an address is for the socket; certificates carry none.
func TestFieldAnAddressWithAZone(t *testing.T) {
	t.Parallel()
	host := zoned(t)
	ip, _, _ := strings.Cut(host, "%")
	party := newParty(t, testkit.NewCA(t), credentials.Leaf{Hosts: []string{ip}})
	ep, err := rpcnet.Listen(net.JoinHostPort(host, "0"), party.creds, &rpcnet.EndpointConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	serving(ep, echoServer(nil))
	if !strings.Contains(ep.Addr().String(), "%") && ip != "::1" {
		t.Errorf("the endpoint's address %s has lost its zone", ep.Addr())
	}
	_, port, _ := net.SplitHostPort(ep.Addr().String())
	conn, err := rpcnet.Dial(within(t), net.JoinHostPort(host, port), party.creds, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	mustEcho(t, conn, []byte("zone"))
	t.Logf("field | an IPv6 address with a zone | Listen and Dial | %s", conn.Addr())
}

// zoned returns an address of this machine with a zone: of a link if there is one,
// or else of the loopback.
func zoned(t *testing.T) string {
	t.Helper()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	loopback := ""
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 {
			continue
		}
		for _, a := range addrs {
			switch ip := a.(*net.IPNet).IP; {
			case ip.To4() != nil:
			case ip.IsLinkLocalUnicast():
				return ip.String() + "%" + i.Name
			case ip.IsLoopback():
				loopback = ip.String() + "%" + i.Name
			}
		}
	}
	if loopback == "" {
		t.Skip("this machine has no IPv6")
	}
	return loopback
}

// A server is verified by what its certificate is for; the error says what it
// carries and what was wanted.
func TestFieldWhatAServersCertificateIsFor(t *testing.T) {
	t.Parallel()
	const id = "spiffe://prod.example/worker"
	ca := testkit.NewCA(t)
	anybody := func(rpcnet.Peer) error { return nil }
	for _, c := range []struct {
		hosts []string
		cfg   rpcnet.DialConfig
		says  []string // of the error; none: it connects
	}{
		{[]string{"127.0.0.1"}, rpcnet.DialConfig{}, nil},
		{[]string{"worker-a.prod"}, rpcnet.DialConfig{ServerNames: []string{"127.0.0.1", "worker-a.prod"}}, nil},
		{[]string{"worker-a.prod"}, rpcnet.DialConfig{}, []string{"certificate does not carry 127.0.0.1: it is for worker-a.prod"}},
		{[]string{"worker-a.prod"}, rpcnet.DialConfig{ServerNames: []string{"a.prod", "", "b.prod"}}, []string{"does not carry a.prod or b.prod"}},
		{[]string{"worker-a.prod"}, rpcnet.DialConfig{VerifyPeer: anybody}, []string{"does not carry 127.0.0.1"}},
		{[]string{"10.0.0.7"}, rpcnet.DialConfig{VerifyPeer: anybody}, []string{"it is for 10.0.0.7"}},
		{[]string{id}, rpcnet.DialConfig{}, []string{"does not carry 127.0.0.1: it is for " + id, "rpcnet.DialConfig.ServerNames"}},
		{[]string{id}, rpcnet.DialConfig{VerifyPeer: anybody}, nil},
		{[]string{id}, rpcnet.DialConfig{ServerNames: []string{id}}, nil},
		{[]string{id, "worker-a.prod"}, rpcnet.DialConfig{ServerNames: []string{id}}, nil},
		{[]string{id}, rpcnet.DialConfig{ServerNames: []string{id + "-b"}, VerifyPeer: anybody}, []string{"does not carry " + id + "-b"}},
		{[]string{id}, rpcnet.DialConfig{ServerNames: []string{""}, VerifyPeer: anybody}, nil},
		{[]string{}, rpcnet.DialConfig{}, []string{"it is for nobody"}},
	} {
		p := newParty(t, ca, credentials.Leaf{Hosts: c.hosts})
		ep, err := rpcnet.Listen("127.0.0.1:0", p.creds, &rpcnet.EndpointConfig{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		c.cfg.Logger = slog.New(slog.DiscardHandler)
		conn, err := rpcnet.Dial(within(t), ep.Addr().String(), p.creds, &c.cfg)
		if err == nil {
			conn.Close()
		}
		ep.Close()
		if (err == nil) != (c.says == nil) {
			t.Errorf("%q: %v, want %q", c.hosts, err, c.says)
			continue
		}
		for _, says := range c.says {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%q: the error does not say %q: %v", c.hosts, says, err)
			}
			if !errors.As(err, new(x509.HostnameError)) {
				t.Errorf("%q: not an x509.HostnameError: %v", c.hosts, err)
			}
		}
	}
	stranger := newParty(t, testkit.NewCA(t), credentials.Leaf{Hosts: []string{id}})
	ep, err := rpcnet.Listen("127.0.0.1:0", stranger.creds, &rpcnet.EndpointConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	if _, err := rpcnet.Dial(within(t), ep.Addr().String(), newParty(t, ca, credentials.Leaf{}).creds, &rpcnet.DialConfig{VerifyPeer: anybody}); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("a rule replaces the check of the authority: %v", err)
	}
	t.Log("field | a certificate for another name, for a SPIFFE id, for an address | the error says what it carries and what was wanted | 13 of 13")
}
