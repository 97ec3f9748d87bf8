// Package doctor finds out at which step a node cannot be reached, or what is wrong with
// its cluster, and says what mends it. It goes from the files on this machine over the
// network to what the node says, and reports each step once. What a step needs of an
// earlier one that failed is skipped, and said so.
//
// It reads only, and joins nothing. It trusts nothing that the node says: texts are cut
// and escaped by who prints them, and sizes are bounded by the calls.
package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
)

// A Status is how a step went.
type Status string

// The statuses.
const (
	StatusOK      Status = "ok"
	StatusWarn    Status = "warn" // it works, and will not for ever or not for everything
	StatusFail    Status = "FAIL"
	StatusSkipped Status = "skip" // an earlier step failed
)

// A Finding is the outcome of a step.
type Finding struct {
	Step   string `json:"step"`
	Status Status `json:"status"`
	// Text says what was found, and why it is as it is.
	Text string `json:"text"`
	// Fix says what mends it, a command where there is one. "" if nothing is to be done.
	Fix string `json:"fix,omitempty"`
}

// A Config says what is examined. All but Cluster, ServerName and Report are required.
type Config struct {
	// Addr is the host:port of the node, and ServerName what its certificate carries in
	// place of the host.
	Addr, ServerName string
	// Cert, Key and CA are the paths of the files.
	Cert, Key, CA string
	// Cluster is the name that the cluster should have. "": any.
	Cluster string
	// Timeout bounds each step.
	Timeout time.Duration
	// Now is the clock of this machine.
	Now func() time.Time
	// Report is called with each finding, in order.
	Report func(Finding)
}

// Run examines the node. It reports whether no step failed.
func Run(ctx context.Context, cfg Config) bool {
	d := &doctor{Config: cfg, well: true}
	for _, s := range []struct {
		name string
		run  func(context.Context)
	}{
		{"files", d.files}, {"certificate", d.ownCertificate}, {"descriptors", d.descriptors},
		{"dns", d.dns}, {"tcp", d.tcp}, {"tls", d.handshake}, {"alpn", d.alpn},
		{"authority", d.authority}, {"names", d.names}, {"expiry", d.expiry},
		{"session", d.session}, {"roles", d.roles}, {"clock", d.clock}, {"versions", d.versions},
		{"udp", d.udp}, {"mtu", d.mtu},
		{"cluster", d.clusterName}, {"conflicts", d.conflicts}, {"members", d.members}, {"partition", d.partition},
		{"workers", d.workers}, {"services", d.services},
	} {
		if ctx.Err() != nil {
			return false
		}
		d.step = s.name
		stepCtx, cancel := context.WithTimeout(ctx, cfg.Timeout)
		s.run(stepCtx)
		cancel()
	}
	if d.conn != nil {
		d.conn.Close()
	}
	return d.well
}

// A doctor is one examination. What a step finds out is nil, or zero, if it failed.
type doctor struct {
	Config
	step string // that runs
	well bool   // nothing has failed

	leaf   *x509.Certificate // our own
	pair   tls.Certificate
	roots  *x509.CertPool
	addrs  []netip.Addr // of the host
	addr   string       // the address that accepts connections
	wire   *tls.ConnectionState
	sealed string // why the handshake failed, "" if it did not

	conn      *rpcnet.Conn
	view      *cluster.Snapshot
	asked     time.Time     // when the view was asked for, by our clock
	roundTrip time.Duration // of that
	reached   *echoes       // datagrams
}

// report reports the finding of the step that runs.
func (d *doctor) report(status Status, fix, format string, args ...any) {
	if status == StatusFail {
		d.well = false
	}
	if d.Report != nil {
		d.Report(Finding{d.step, status, fmt.Sprintf(format, args...), fix})
	}
}

func (d *doctor) ok(format string, args ...any)        { d.report(StatusOK, "", format, args...) }
func (d *doctor) warn(fix, format string, args ...any) { d.report(StatusWarn, fix, format, args...) }
func (d *doctor) fail(fix, format string, args ...any) { d.report(StatusFail, fix, format, args...) }
func (d *doctor) skip(why string)                      { d.report(StatusSkipped, "", "not examined: %s", why) }

// host returns the host of the address.
func (d *doctor) host() string {
	host, _, err := net.SplitHostPort(d.Addr)
	if err != nil {
		return d.Addr
	}
	return host
}

// port returns the port of the address.
func (d *doctor) port() string {
	_, port, err := net.SplitHostPort(d.Addr)
	if err != nil {
		return ""
	}
	return port
}
