package workers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// Pace of dialling a worker's control connection.
const (
	reportDialTimeout = time.Second
	firstRedial       = 20 * time.Millisecond
	lastRedial        = time.Second
	// slowRedial is the last pause for an address where no worker has answered
	// yet, and the pause after a failure that time alone does not mend.
	slowRedial = 10 * time.Second
	// refusals in a row are proof that the process is gone.
	refusals = 2
	// tellAfter is how long a worker may be new before its failures are told, and
	// tellEvery how often they are told again.
	tellAfter = time.Second
	tellEvery = time.Minute
)

// errNotWorker says that who answers may not be a worker.
var errNotWorker = errors.New("who answers may not be a worker")

// dialConfig returns the config of a dial of the member at addr: its certificate
// must be a worker's by the rules of ep, and carry its address or the name that
// it has announced.
func dialConfig(ep *rpcnet.Endpoint, addr, serverName string) rpcnet.DialConfig {
	host, _, _ := net.SplitHostPort(addr)
	verify := func(p rpcnet.Peer) error {
		if err := ep.AllowServer(p, rpcnet.RoleWorker); err != nil {
			return fmt.Errorf("%w: %w", errNotWorker, err)
		}
		return nil
	}
	return rpcnet.DialConfig{ServerNames: []string{host, serverName}, VerifyPeer: verify}
}

// lasting reports whether err is a failure that time alone does not mend: one of
// certificates, names or roles.
func lasting(err error) bool {
	return errors.Is(err, errNotWorker) ||
		errors.As(err, new(x509.UnknownAuthorityError)) || errors.As(err, new(x509.HostnameError)) ||
		errors.As(err, new(x509.CertificateInvalidError)) || errors.As(err, new(*tls.CertificateVerificationError)) ||
		errors.As(err, new(tls.AlertError)) || rpcnet.CodeOf(err) == rpcnet.CodePermissionDenied
}

// attempts is what read knows of the failures of one worker's control connection.
type attempts struct {
	refused int           // in a row
	pause   time.Duration // before the next try
	since   time.Time     // of the first failure in a row
	told    time.Time     // when a failure was last told
	tried   bool          // the present address was dialled before
}

// read keeps the control connection to a worker and applies its reports, until
// the worker is gone. It runs on a goroutine of its own.
func (r *Registry) read(ctx context.Context, w *worker) {
	a := attempts{pause: firstRedial}
	for ctx.Err() == nil {
		if !r.mayDial(ctx, w, a.tried) {
			return
		}
		r.mu.Lock()
		select { // what it says is known from here
		case <-w.again:
		default:
		}
		m := w.member
		r.mu.Unlock()
		err := r.watch(ctx, w, m, func() { a = attempts{told: a.told} })
		if ctx.Err() != nil {
			return
		}
		a.tried = true
		r.lost(w, err)
		r.judge(w, m, err, &a)
		if !r.pause(ctx, w, &a) {
			a.tried = false // another address
		}
		if a.refused >= refusals || !errors.Is(err, syscall.ECONNREFUSED) {
			a.pause = min(2*a.pause, r.longest(w, err))
		}
		a.pause = max(a.pause, firstRedial)
	}
}

// mayDial waits until the worker may be dialled. It returns false if ctx ends.
func (r *Registry) mayDial(ctx context.Context, w *worker, again bool) bool {
	r.mu.Lock()
	known := w.proven == w.member.Addr
	r.mu.Unlock()
	return known || r.gate.pass(ctx, again)
}

// longest returns the longest pause after err.
func (r *Registry) longest(w *worker, err error) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.proven != w.member.Addr || lasting(err) {
		return slowRedial
	}
	return lastRedial
}

// judge tells the node and the log what err, the end of a control connection or of
// the attempt to make one, says of the worker.
func (r *Registry) judge(w *worker, m cluster.Member, err error, a *attempts) {
	switch {
	case errors.Is(err, errReplaced):
		r.node.ReportReplaced(m.Name, m.Boot)
	case errors.Is(err, syscall.ECONNREFUSED):
		if a.refused++; a.refused >= refusals {
			r.node.ReportUnreachable(m.Name, m.Boot)
		}
	default:
		a.refused = 0
	}
	r.log.Debug("control stream of a worker is down", "worker", m.Name, "addr", m.Addr, "err", loglimit.Cut(err.Error()))
	now := time.Now()
	if a.since.IsZero() {
		a.since = now
	}
	if lasting(err) {
		a.pause = max(a.pause, slowRedial/2)
	} else if now.Sub(a.since) < tellAfter {
		return
	}
	if a.told.IsZero() || now.Sub(a.told) >= tellEvery {
		a.told = now
		r.lines.Log(slog.LevelWarn, "control", "a worker is not chosen: its control connection fails", "worker", m.Name, "addr", m.Addr, "err", err)
	}
}

// pause waits before the next try; a stream that was up is dialled again at once.
// It returns false if the worker has another address.
func (r *Registry) pause(ctx context.Context, w *worker, a *attempts) bool {
	if a.pause <= 0 {
		return true
	}
	t := time.NewTimer(a.pause/2 + rand.N(a.pause/2+1))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-w.again:
		a.pause = 0
		return false
	}
	return true
}
