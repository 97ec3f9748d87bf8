package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/credentials"
)

// soon is how long before the end of a certificate there is a warning.
const soon = 14 * 24 * time.Hour

// makeCerts is what makes certificates for development.
const makeCerts = "name the folder of your certificates with -dir, RPCNET_CERTS or \"rpcnet context add\"; for development make some: rpcnet certs"

// files reads the certificate, the key and the authorities.
func (d *doctor) files(context.Context) {
	ca, err := os.ReadFile(d.CA)
	if err == nil {
		d.roots = x509.NewCertPool()
		if !d.roots.AppendCertsFromPEM(ca) {
			d.roots = nil
			d.fail("put the certificates of the authorities into it, in PEM", "%s has no certificate", d.CA)
			return
		}
		d.pair, err = tls.LoadX509KeyPair(d.Cert, d.Key)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.fail(makeCerts, "%v", err)
	case errors.Is(err, fs.ErrPermission):
		d.fail("run the command as the owner of the file, or give yourself the right to read it", "%v", err)
	case err != nil:
		d.fail("give the certificate and the key that were made together: -cert, -key", "%s, %s: %v", d.Cert, d.Key, err)
	default:
		d.leaf = d.pair.Leaf
		d.ok("%s, %s, %s", d.Cert, d.Key, d.CA)
	}
}

// ownCertificate examines the certificate of this side as the node will.
func (d *doctor) ownCertificate(context.Context) {
	if d.leaf == nil {
		d.skip("there is none")
		return
	}
	id, _ := credentials.Identity([]*x509.Certificate{d.leaf})
	now := d.Now()
	err := d.signed(d.leaf, d.intermediates(), x509.ExtKeyUsageClientAuth)
	left := d.leaf.NotAfter.Sub(now)
	switch {
	case err != nil:
		d.fail("let the authority of the cluster sign it, or give the right -ca", "%s is not accepted by %s: %v", id, d.CA, err)
	case now.Before(d.leaf.NotBefore):
		d.fail("set the clock of this machine, or wait", "%s is good from %s, and here it is %s", id, stamp(d.leaf.NotBefore), stamp(now))
	case left <= 0:
		d.fail("renew it; one of \"rpcnet certs\": remove its two files and run that again", "%s has expired %s, %v ago", id, stamp(d.leaf.NotAfter), people(-left))
	case left < soon:
		d.warn("renew it", "%s expires in %v, %s", id, people(left), stamp(d.leaf.NotAfter))
	default:
		d.ok("%s, good until %s", id, stamp(d.leaf.NotAfter))
	}
}

// intermediates returns the certificates between ours and its authority.
func (d *doctor) intermediates() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, der := range d.pair.Certificate[min(1, len(d.pair.Certificate)):] {
		if c, err := x509.ParseCertificate(der); err == nil {
			pool.AddCert(c)
		}
	}
	return pool
}

// signed returns nil if an authority of the file has signed a certificate for that
// usage, whatever the time: that is another step.
func (d *doctor) signed(c *x509.Certificate, between *x509.CertPool, usage x509.ExtKeyUsage) error {
	// The nearest time at which the certificate itself is good.
	at := d.Now()
	if at.Before(c.NotBefore) {
		at = c.NotBefore
	} else if at.After(c.NotAfter) {
		at = c.NotAfter
	}
	_, err := c.Verify(x509.VerifyOptions{Roots: d.roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return nil // an authority that was not good then; its signature was checked before its time
	}
	return err
}

// stamp returns a time for people, in UTC.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// people returns a duration for people: days, hours, or as Go has it.
func people(d time.Duration) string {
	day := 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= time.Minute:
		return d.Round(time.Minute).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// descriptors examines how many files this machine lets a process open.
func (d *doctor) descriptors(context.Context) {
	const want = 1024
	limit := fileLimit()
	switch {
	case limit < 0:
		d.ok("this system has no limit that can be read")
	case limit < want:
		d.warn("ulimit -n 65536, or LimitNOFILE=65536 in the unit of systemd; for a node that is the limit of its callers",
			"a process may have %d open files here: want %d at least", limit, want)
	default:
		d.ok("a process may have %d open files here", limit)
	}
}

// used reports whether a list of usages has one.
func used(usages []x509.ExtKeyUsage, u x509.ExtKeyUsage) bool { return slices.Contains(usages, u) }
