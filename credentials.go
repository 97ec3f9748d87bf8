package rpcnet

import (
	"errors"
	"log/slog"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/link"
)

// Credentials are what a node proves its identity with and accepts others by:
// a certificate, its private key and the authorities of the cluster. They come
// from [CertFiles] or [DevCA.Credentials], are loaded by [Listen] and [Dial],
// which report what is wrong with them, and may be used for several endpoints.
// The zero value is no credentials, which nothing accepts.
type Credentials struct {
	files  link.Files
	poll   time.Duration // between looks at them; 0: link's default
	memory *link.Bundle  // nil for files
}

// CertFiles returns the credentials in three PEM files: the node's certificate
// followed by any intermediates, its private key, and the certificates of the
// authorities that peers must be signed by.
//
// The files are watched while the endpoint is open: what a renewal writes takes
// effect on the next connection, with a line in the log. Files that do not
// load, or do not fit together, leave the old ones in use, with a warning. The
// log warns from 14 days before the certificate expires.
func CertFiles(cert, key, ca string) Credentials {
	return Credentials{files: link.Files{Cert: cert, Key: key, CA: ca}}
}

// String says where the credentials come from; it never shows a key.
func (c Credentials) String() string {
	switch {
	case c.memory != nil:
		return "credentials in memory"
	case c.files == link.Files{}:
		return "no credentials"
	}
	return "credentials in " + c.files.Cert
}

// GoString is [Credentials.String].
func (c Credentials) GoString() string { return c.String() }

func (c Credentials) applyEndpoint(cfg *endpointConfig) { cfg.creds = c }

// open loads the credentials. The caller closes the source.
func (c Credentials) open(logger *slog.Logger) (*link.Source, error) {
	switch {
	case c.memory != nil:
		return link.NewSource(*c.memory, logger)
	case c.files == link.Files{}:
		return nil, errors.New("tls: no credentials: give rpcnet.CertFiles(cert, key, ca)")
	}
	return link.OpenFiles(c.files, c.poll, logger)
}
