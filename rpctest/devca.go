package rpctest

import (
	"crypto/x509"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/hook"
)

// inMemory returns the credentials that hold a bundle.
var inMemory = hook.Credentials.(func(credentials.Bundle) rpcnet.Credentials)

// A DevCA is a certificate authority in memory, for tests and programs of one
// process: its key is not protected. On disk the command "rpcnet certs" makes
// one. It is safe for concurrent use.
type DevCA struct{ ca *credentials.DevCA }

// NewDevCA makes a new authority.
func NewDevCA() (*DevCA, error) {
	ca, err := credentials.NewDevCA()
	if err != nil {
		return nil, err
	}
	return &DevCA{ca}, nil
}

// Credentials returns the credentials of a node with a fresh key and a
// certificate, valid for a year, for hosts: DNS names, IP addresses and SPIFFE
// ids. The default is localhost, 127.0.0.1 and ::1.
func (ca *DevCA) Credentials(hosts ...string) (rpcnet.Credentials, error) {
	return ca.issue(credentials.Leaf{Hosts: hosts})
}

// ClientCredentials returns the credentials of a client: as those of
// [DevCA.Credentials], but with a certificate that is of no use as a server's,
// so that its holder is never a node (rpcnet.Roles).
func (ca *DevCA) ClientCredentials(names ...string) (rpcnet.Credentials, error) {
	return ca.issue(credentials.Leaf{Hosts: names, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

func (ca *DevCA) issue(l credentials.Leaf) (rpcnet.Credentials, error) {
	b, err := ca.ca.Issue(l)
	if err != nil {
		return rpcnet.Credentials{}, err
	}
	return inMemory(b), nil
}
