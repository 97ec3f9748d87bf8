package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/version"
)

// dns looks the host up.
func (d *doctor) dns(ctx context.Context) {
	host := d.host()
	if addr, err := netip.ParseAddr(host); err == nil {
		d.addrs = []netip.Addr{addr}
		d.ok("%s is an address", host)
		return
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(addrs) == 0 {
		d.fail("mend the name in -addr, or /etc/hosts, or the DNS of this machine", "no address for %s: %v", host, err)
		return
	}
	var list []string
	for _, a := range addrs {
		d.addrs = append(d.addrs, a.Unmap())
		list = append(list, a.Unmap().String())
	}
	d.ok("%s is %s", host, strings.Join(list, ", "))
}

// tcp connects to each address until one accepts.
func (d *doctor) tcp(ctx context.Context) {
	if d.addrs == nil {
		d.skip("there is no address")
		return
	}
	var last error
	for _, a := range d.addrs {
		addr := net.JoinHostPort(a.String(), d.port())
		start := time.Now()
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			took := time.Since(start)
			c.Close()
			d.addr = addr
			d.ok("%s accepts connections, after %v", addr, people(took))
			return
		}
		last = err
	}
	fix := "open TCP and UDP port " + d.port() + " to this machine in the firewalls between, and see that the node runs"
	if errors.Is(last, syscall.ECONNREFUSED) {
		fix = "start the node, or mend the port in -addr: nothing listens there"
	}
	d.fail(fix, "%v", last)
}

// handshake makes a TLS connection that accepts any certificate, so that each fault of
// it is found and not the first alone.
func (d *doctor) handshake(ctx context.Context) {
	if d.addr == "" || d.leaf == nil {
		d.skip("there is no connection, or no certificate of ours")
		return
	}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", d.addr)
	if err != nil {
		d.fail("try again: the connection before was accepted", "%v", err)
		return
	}
	defer raw.Close()
	conn := tls.Client(raw, &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{version.ALPN}, ServerName: d.serverName(),
		InsecureSkipVerify: true, // the next steps do
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &d.pair, nil
		},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		d.sealed = err.Error()
		var header tls.RecordHeaderError
		switch {
		case errors.As(err, &header):
			d.fail("mend the port in -addr", "what answers at %s does not speak TLS: another service", d.addr)
		case strings.Contains(err.Error(), "no application protocol"):
			d.fail("mend the port in -addr, or start the node: its endpoint may not serve yet", "what answers at %s does not speak %s", d.addr, version.ALPN)
		default:
			d.fail("see that -addr is the port of a node", "the handshake with %s failed: %v", d.addr, err)
		}
		return
	}
	state := conn.ConnectionState()
	d.wire = &state
	d.ok("TLS 1.3 with %s", tls.CipherSuiteName(state.CipherSuite))
}

// serverName returns the name that is sent with the handshake: a DNS name or nothing.
func (d *doctor) serverName() string {
	name := d.host()
	if d.ServerName != "" {
		name = d.ServerName
	}
	if strings.Contains(name, "://") {
		return ""
	}
	return credentials.WithoutZone(name)
}

// alpn examines the protocol that the other side chose.
func (d *doctor) alpn(context.Context) {
	switch {
	case d.wire == nil:
		d.skip("there is no TLS connection")
	case d.wire.NegotiatedProtocol != version.ALPN:
		d.fail("mend the port in -addr", "the other side speaks %q and not %q: it is no node", d.wire.NegotiatedProtocol, version.ALPN)
	default:
		d.ok("%s", version.ALPN)
	}
}

// authority examines who has signed the node's certificate.
func (d *doctor) authority(context.Context) {
	if d.wire == nil || len(d.wire.PeerCertificates) == 0 {
		d.skip("there is no certificate of the node")
		return
	}
	leaf := d.wire.PeerCertificates[0]
	pool := x509.NewCertPool()
	for _, c := range d.wire.PeerCertificates[1:] {
		pool.AddCert(c)
	}
	err := d.signed(leaf, pool, x509.ExtKeyUsageServerAuth)
	switch {
	case err == nil:
		d.ok("%s has signed the node's certificate, and is in %s", issuer(leaf), d.CA)
	case len(leaf.ExtKeyUsage) > 0 && !used(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !used(leaf.ExtKeyUsage, x509.ExtKeyUsageAny):
		d.fail("give the node a certificate with the extended key usage serverAuth", "the node's certificate is none of a server")
	default:
		d.fail("use the ca.pem of the node's cluster (-ca or -dir), or give the node a certificate of this authority",
			"%s has signed the node's certificate, and is not in %s: another cluster, or a new authority", issuer(leaf), d.CA)
	}
}

// issuer returns who has signed a certificate, for people.
func issuer(c *x509.Certificate) string {
	if s := c.Issuer.String(); s != "" {
		return s
	}
	return "an authority without a name"
}

// names examines whether the node's certificate carries the name that it is dialled by.
func (d *doctor) names(context.Context) {
	if d.wire == nil || len(d.wire.PeerCertificates) == 0 {
		d.skip("there is no certificate of the node")
		return
	}
	leaf := d.wire.PeerCertificates[0]
	want := credentials.WithoutZone(d.host())
	if d.ServerName != "" {
		want = d.ServerName
	}
	id, names := credentials.Identity(d.wire.PeerCertificates)
	carried := strings.Join(names, ", ")
	if carried == "" {
		carried = "no name of a host"
	}
	if credentials.Carries(leaf, want) {
		d.ok("the certificate of %s carries %s", id, want)
		return
	}
	d.fail(fmt.Sprintf("dial a name that it carries, give -server-name, or add %s to the certificate: rpcnet certs -name NAME -host %s", want, want),
		"the certificate of %s does not carry %s; it carries %s", id, want, carried)
}

// expiry examines the times of the node's certificates.
func (d *doctor) expiry(context.Context) {
	if d.wire == nil || len(d.wire.PeerCertificates) == 0 {
		d.skip("there is no certificate of the node")
		return
	}
	now := d.Now()
	for _, c := range d.wire.PeerCertificates {
		left := c.NotAfter.Sub(now)
		switch {
		case now.Before(c.NotBefore):
			d.fail("set the clock of this machine or of the authority: one of them is wrong",
				"the node's certificate is good from %s, and here it is %s", stamp(c.NotBefore), stamp(now))
			return
		case left <= 0:
			d.fail("renew the certificate of the node: it takes the new files over while it runs", "the node's certificate has expired %s, %v ago",
				stamp(c.NotAfter), people(-left))
			return
		case left < soon:
			d.warn("renew the certificate of the node: it takes the new files over while it runs", "the node's certificate expires in %v, %s",
				people(left), stamp(c.NotAfter))
			return
		}
	}
	d.ok("the node's certificate is good until %s", stamp(d.wire.PeerCertificates[0].NotAfter))
}
