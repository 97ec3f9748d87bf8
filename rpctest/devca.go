package rpctest

import (
	"crypto/x509"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/hook"
)

// inMemory returns the credentials that hold a bundle. Package rpcnet does not
// export it, because programs have their keys in files, where they can be renewed.
var inMemory = hook.Credentials.(func(credentials.Bundle) rpcnet.Credentials)

// A DevCA is a certificate authority in memory, for tests and programs of one
// process: its key is not protected. On disk the command "rpcnet certs" makes
// one. Two authorities do not accept each other's certificates, which tests of
// refused peers need. It is safe for concurrent use.
type DevCA struct{ ca *credentials.DevCA }

// NewDevCA makes a new authority. The error is that of the system's source of
// randomness.
func NewDevCA() (*DevCA, error) {
	ca, err := credentials.NewDevCA()
	if err != nil {
		return nil, err
	}
	return &DevCA{ca}, nil
}

// Credentials returns the credentials of a node with a fresh key and a
// certificate, valid for a year, for hosts: DNS names, IP addresses and SPIFFE
// ids. The default is localhost, 127.0.0.1 and ::1. They replace the default; name
// localhost too if it is needed. The error says which host cannot be in a
// certificate.
func (ca *DevCA) Credentials(hosts ...string) (rpcnet.Credentials, error) {
	return ca.issue(credentials.Leaf{Hosts: hosts})
}

// ClientCredentials returns the credentials of a client: as those of
// [DevCA.Credentials], but with a certificate that is of no use as a server's,
// so that its holder is never a node (rpcnet.Roles).
func (ca *DevCA) ClientCredentials(names ...string) (rpcnet.Credentials, error) {
	return ca.issue(credentials.Leaf{Hosts: names, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// issue signs a certificate, and makes credentials that also accept the peers of
// this authority.
func (ca *DevCA) issue(l credentials.Leaf) (rpcnet.Credentials, error) {
	b, err := ca.ca.Issue(l)
	if err != nil {
		return rpcnet.Credentials{}, err
	}
	return inMemory(b), nil
}
