package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"time"
)

// config returns what both directions have in common: TLS 1.3, and sessions that are
// never resumed. Resumption would save one signature per reconnect. It would also
// keep a peer's identity, and the authority behind it, alive for up to seven days
// after they were removed from the files.
//
// Both directions verify the peer themselves (see verify), in VerifyConnection:
// crypto/tls would verify before any limit could be checked.
func (m *material) config(alpn []string) *tls.Config {
	return &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		NextProtos:                  alpn,
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
		Certificates:                []tls.Certificate{m.cert},
	}
}

// ServerConfig returns the configuration of a listener that speaks the given
// protocols. Clients must show a certificate for client authentication that one of
// the authorities signed. If protocols are given, they must agree on one. One
// configuration serves for any number of connections: each takes the current
// material.
func (s *Source) ServerConfig(alpn []string) *tls.Config {
	return s.ServerConfigFor(alpn, nil, nil)
}

// ServerConfigFor is ServerConfig for one connection. hello, if not nil, is called
// with the client's first message, and proved, if not nil, with the chain of the
// client's certificate when that is verified.
func (s *Source) ServerConfigFor(alpn []string, hello func(*tls.ClientHelloInfo), proved func([]*x509.Certificate)) *tls.Config {
	config := func() *tls.Config {
		m := s.current.Load()
		c := m.config(alpn)
		c.ClientAuth = tls.RequireAnyClientCert
		c.ClientCAs = m.pool
		c.VerifyConnection = func(cs tls.ConnectionState) error {
			return prove(&cs, alpn, c.ClientCAs, x509.ExtKeyUsageClientAuth, nil, proved)
		}
		return c
	}
	c := config()
	c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if hello != nil {
			hello(h)
		}
		return config(), nil
	}
	return c
}

// ClientConfig returns the configuration of one dial to the host called serverName, a
// DNS name or an IP address, which the server's certificate must carry. Make a new one
// for each dial: it keeps the authorities of the moment it is made.
func (s *Source) ClientConfig(serverName string, alpn []string) *tls.Config {
	return s.ClientConfigFor(Want{Names: []string{serverName}}, alpn, nil)
}

// ClientConfigFor is ClientConfig for a server whose certificate must carry what
// want says. proved, if not nil, is called with the chain of the server's
// certificate when that is verified.
func (s *Source) ClientConfigFor(want Want, alpn []string, proved func([]*x509.Certificate)) *tls.Config {
	m := s.current.Load()
	c := m.config(alpn)
	c.RootCAs = m.pool
	c.ServerName = want.sni()
	c.InsecureSkipVerify = true // VerifyConnection does it
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		return prove(&cs, alpn, c.RootCAs, x509.ExtKeyUsageServerAuth, &want, proved)
	}
	return c
}

// prove verifies the peer of a connection, and calls proved, if not nil, with the
// chain of its certificate.
func prove(cs *tls.ConnectionState, alpn []string, roots *x509.CertPool, usage x509.ExtKeyUsage, want *Want, proved func([]*x509.Certificate)) error {
	if err := agreed(alpn, cs); err != nil {
		return err
	}
	chain, err := verify(cs.PeerCertificates, roots, usage, want, time.Now())
	if err == nil && proved != nil {
		proved(chain)
	}
	return err
}
