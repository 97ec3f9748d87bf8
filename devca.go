package rpcnet

import "github.com/rpcnet-go/rpcnet/internal/link"

// A DevCA is a certificate authority in memory, for tests and programs of one
// process: its key is not protected. On disk the command "rpcnet certs" makes
// one. It is safe for concurrent use.
type DevCA struct{ ca *link.DevCA }

// NewDevCA makes a new authority.
func NewDevCA() (*DevCA, error) {
	ca, err := link.NewDevCA()
	if err != nil {
		return nil, err
	}
	return &DevCA{ca}, nil
}

// Credentials returns the credentials of a node with a fresh key and a
// certificate, valid for a year, for hosts: DNS names, IP addresses and SPIFFE
// ids. The default is localhost, 127.0.0.1 and ::1.
func (ca *DevCA) Credentials(hosts ...string) (Credentials, error) {
	b, err := ca.ca.Issue(link.Leaf{Hosts: hosts})
	if err != nil {
		return Credentials{}, err
	}
	return Credentials{memory: &b}, nil
}
