package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
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
	return s.ServerConfigFor(Accept{ALPN: alpn})
}

// Accept says which clients a listener takes.
type Accept struct {
	// ALPN are the protocols whose clients must show a certificate.
	ALPN []string
	// HTTP lets a client that offers none of ALPN speak HTTP. A certificate is then
	// asked for and not required, and one that is shown is verified as any other.
	HTTP bool
	// Hello, if not nil, is called with the client's first message.
	Hello func(*tls.ClientHelloInfo)
	// Proved, if not nil, is called with the chain of the client's certificate when
	// that is verified.
	Proved func([]*x509.Certificate)
}

// HTTPProtocols are the protocols of HTTP over TLS, the preferred first. A client that
// negotiates none speaks the last.
var HTTPProtocols = []string{"h2", "http/1.1"}

// Plain reports whether a client that offers the protocols offered speaks HTTP: a
// protocol whose clients must show a certificate always counts first.
func (a Accept) Plain(offered []string) bool {
	return a.HTTP && !slices.ContainsFunc(offered, func(p string) bool { return slices.Contains(a.ALPN, p) })
}

// ServerConfigFor is ServerConfig for one connection.
func (s *Source) ServerConfigFor(a Accept) *tls.Config {
	config := func(offered []string) *tls.Config {
		m, alpn, plain := s.current.Load(), a.ALPN, a.Plain(offered)
		if plain {
			alpn = HTTPProtocols
		}
		c := m.config(alpn)
		c.ClientAuth = tls.RequireAnyClientCert
		if plain {
			c.ClientAuth = tls.RequestClientCert
		}
		c.ClientCAs = m.pool
		c.VerifyConnection = func(cs tls.ConnectionState) error {
			if plain {
				if len(cs.PeerCertificates) == 0 {
					return nil
				}
				alpn = nil // RFC 9112 needs no ALPN
			}
			return prove(&cs, alpn, c.ClientCAs, x509.ExtKeyUsageClientAuth, nil, a.Proved)
		}
		return c
	}
	c := config(a.ALPN)
	c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if a.Hello != nil {
			a.Hello(h)
		}
		return config(h.SupportedProtos), nil
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
