package link

import (
	"crypto/tls"
	"fmt"
)

// config is what both directions have in common: TLS 1.3, and sessions that are
// never resumed. Resumption would save one signature per reconnect, and would
// keep a peer's identity, and the authority that vouched for it, alive past
// their removal from the files, for up to seven days.
func (m *material) config(alpn []string) *tls.Config {
	return &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		NextProtos:                  alpn,
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
	}
}

// ServerConfig returns the configuration of a listener that speaks the given
// protocols. Clients must show a certificate for client authentication that one
// of the authorities signed, and agree on one of the protocols if any are given.
func (s *Source) ServerConfig(alpn []string) *tls.Config {
	config := func() *tls.Config {
		m := s.current.Load()
		c := m.config(alpn)
		c.Certificates = []tls.Certificate{m.cert}
		c.ClientAuth = tls.RequireAndVerifyClientCert
		c.ClientCAs = m.pool
		c.VerifyConnection = agreed(alpn)
		return c
	}
	c := config()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return config(), nil }
	return c
}

// ClientConfig returns the configuration of one dial to the host called
// serverName, a DNS name or an IP address, which the server's certificate must
// carry. Make a new one for each dial: the authorities are those of the moment
// it is made.
func (s *Source) ClientConfig(serverName string, alpn []string) *tls.Config {
	m := s.current.Load()
	c := m.config(alpn)
	c.Certificates = []tls.Certificate{m.cert}
	c.RootCAs = m.pool
	c.ServerName = serverName
	c.VerifyConnection = agreed(alpn)
	return c
}

// agreed refuses a peer that has left out the negotiation of a protocol, which
// crypto/tls lets pass.
func agreed(alpn []string) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		if len(alpn) > 0 && cs.NegotiatedProtocol == "" {
			return fmt.Errorf("the peer negotiates no application protocol, want one of %q", alpn)
		}
		return nil
	}
}
