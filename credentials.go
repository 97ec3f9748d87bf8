package rpcnet

import (
	"errors"
	"log/slog"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/hook"
)

// Credentials are what a node proves its identity with and accepts others by:
// a certificate, its private key and the authorities of the cluster. They come
// from [CertFiles] or rpctest.DevCA, are loaded by [Listen] and [Dial],
// which report what is wrong with them, and serve any number of endpoints.
// The zero value is no credentials, which nothing accepts.
type Credentials struct {
	files  credentials.Files
	poll   time.Duration       // between looks at them; 0: credentials.DefaultPoll
	memory *credentials.Bundle // nil for files
}

// CertFiles returns the credentials in three PEM files: the node's certificate
// followed by any intermediates, its private key, and the certificates of the
// authorities that peers must be signed by.
//
// The files are watched while the endpoint is open: what a renewal writes takes
// effect on the next connection, with a line in the log. Files that do not
// load, do not fit together, are not valid yet, or hold a certificate that their
// own authorities do not accept for what the one in use is, leave the old ones in
// use, with a warning, and are looked at again all the time. The log warns from 14
// days before the certificate expires, with an error if its successor is refused
// then.
func CertFiles(cert, key, ca string) Credentials {
	return Credentials{files: credentials.Files{Cert: cert, Key: key, CA: ca}}
}

func init() {
	hook.Credentials = func(b credentials.Bundle) Credentials { return Credentials{memory: &b} }
}

// String says where the credentials come from; it never shows a key.
func (c Credentials) String() string {
	switch {
	case c.memory != nil:
		return "credentials in memory"
	case c.files == credentials.Files{}:
		return "no credentials"
	}
	return "credentials in " + c.files.Cert
}

// GoString is [Credentials.String].
func (c Credentials) GoString() string { return c.String() }

// open loads the credentials and logs what peers will not accept of them, such as a
// certificate that has expired, so that a mistake shows at the start and not with the
// first call. serving
// says that they are an endpoint's. The caller closes the source.
func (c Credentials) open(logger *slog.Logger, serving bool) (source *credentials.Source, err error) {
	switch {
	case c.memory != nil:
		source, err = credentials.NewSource(*c.memory, logger)
	case c.files == credentials.Files{}:
		return nil, errors.New("tls: no credentials: give rpcnet.CertFiles(cert, key, ca)")
	default:
		source, err = credentials.OpenFiles(c.files, c.poll, logger)
	}
	if err == nil {
		source.Warn(serving)
	}
	return source, err
}
