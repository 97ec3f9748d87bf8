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
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
	"github.com/rpcnet-go/rpcnet/internal/role"
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
	// tellAfter is how long the failures of a worker last before they are logged, since
	// one that starts is seen before it serves; tellEvery how often they are logged
	// again.
	tellAfter = time.Second
	tellEvery = time.Minute
)

// errNotWorker says that the certificate of the process that answers does not allow it
// to be a worker.
var errNotWorker = errors.New("who answers may not be a worker")

// errReplaced says that another life of the node answers at its address.
var errReplaced = errors.New("another boot answers at this address")

// dialConfig returns the config of a dial of the member at addr: its certificate
// must be a worker's by the rules of ep, and carry its address or the name that
// it has announced.
func dialConfig(ep *rpcnet.Endpoint, addr, serverName string) rpcnet.DialConfig {
	host, _, _ := net.SplitHostPort(addr)
	verify := func(p rpcnet.Peer) error {
		if err := extend.AllowServer(extend.Roles(ep), p, role.Worker); err != nil {
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

// A reportClient keeps the control connection to one worker and reads its reports,
// until the worker is gone. One goroutine of the registry runs it and owns its
// fields. What it learns it hands to the registry, which locks.
//
//	        dial, hello           first report
//	paused ------------> waiting --------------> reading
//	  ^                     |                       |
//	  +---- any error: Registry.lost, then judge ---+
//
// The pause is 0 after a connection that worked, so that a worker that restarts is seen
// at once. It doubles from 20 ms to 1 s with each failure; to 10 s for an address at
// which no worker has answered yet, and for failures that time does not mend.
type reportClient struct {
	registry *Registry
	worker   *worker

	refused int           // refused connections in a row
	pause   time.Duration // before the next dial
	since   time.Time     // of the first failure in a row
	logged  time.Time     // when a failure was last logged
	tried   bool          // the present address was dialled before
}

// run dials the worker again and again until ctx ends. Between a failure and the next
// dial it waits as [reportClient] describes; a new address ends the wait, and the
// connection to the old one.
func (c *reportClient) run(ctx context.Context) {
	r, w := c.registry, c.worker
	c.pause = firstRedial
	for ctx.Err() == nil {
		if !c.mayDial(ctx) {
			return
		}
		r.mu.Lock()
		select { // the address that it announces is read below
		case <-w.readdr:
		default:
		}
		m := w.member
		r.mu.Unlock()
		err := c.read(ctx, m)
		if ctx.Err() != nil {
			return
		}
		c.tried = true
		r.lost(w, err)
		c.judge(m, err)
		if !c.wait(ctx) {
			c.tried = false // another address
		}
		// A port that refuses is dialled again at once for the second refusal, which
		// proves that the process is gone. Otherwise pauses double.
		if c.refused >= refusals || !errors.Is(err, syscall.ECONNREFUSED) {
			c.pause = min(2*c.pause, c.longestPause(err))
		}
		c.pause = max(c.pause, firstRedial)
	}
}

// mayDial waits for a turn to dial the worker, if no worker has answered at its
// address. It returns false if ctx ends.
func (c *reportClient) mayDial(ctx context.Context) bool {
	return c.proven() || c.registry.gate.pass(ctx, c.tried)
}

// proven reports whether a worker has answered at the present address.
func (c *reportClient) proven() bool {
	c.registry.mu.Lock()
	defer c.registry.mu.Unlock()
	return c.worker.proven == c.worker.member.Addr
}

// longestPause returns the longest pause after err. It is long where there is perhaps no
// worker, or where a person has to mend something: dialling often does not help, and
// costs who answers there.
func (c *reportClient) longestPause(err error) time.Duration {
	if !c.proven() || lasting(err) {
		return slowRedial
	}
	return lastRedial
}

// read opens the control stream and reads it until it breaks. It returns why. The worker
// as the node knows it is m, which is compared with the boot that answers.
func (c *reportClient) read(ctx context.Context, m cluster.Member) error {
	r, w := c.registry, c.worker
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // a new address ends the stream to the old one
		select {
		case <-w.readdr:
			cancel()
		case <-ctx.Done():
		}
	}()
	dialing, stop := context.WithTimeout(ctx, r.late.Patience(reportDialTimeout))
	conn, err := r.dial(dialing, m)
	stop()
	if err != nil {
		return err
	}
	defer conn.Close()
	// The certificate has proven that a worker answers there, though perhaps of another
	// boot: the worker's own hello says that.
	r.mu.Lock()
	w.conn, w.proven = conn, m.Addr
	hello := r.hello(w)
	r.mu.Unlock()
	s, err := conn.NewStream(ctx, reportSpec)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Send(hello.append(nil)); err != nil {
		return err
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	var b []byte // of each message in turn
	for {
		if err := s.Recv(&b); err != nil {
			if rpcnet.CodeOf(err) == rpcnet.CodeUnimplemented {
				err = fmt.Errorf("%s carries the tags of a worker but serves no %s: see workers.NewWorker: %w", w.id, reportSpec.Procedure, err)
			}
			return err
		}
		if err := c.message(m, b); err != nil {
			return err
		}
	}
}

// message handles one message of the control stream. Kinds that it does not know
// are those of a newer worker. The error ends the stream: the worker is another one than
// the node says, or does not speak the protocol. b is the caller's again afterwards.
func (c *reportClient) message(m cluster.Member, b []byte) error {
	switch {
	case len(b) >= 2 && b[0] == kindHello:
		if boot := string(b[2:]); boot != m.Boot {
			return fmt.Errorf("%w: %q in place of %q", errReplaced, boot, m.Boot)
		}
	case len(b) > 1 && b[0] == kindReport:
		rep, err := load.ParseReport(b[1:])
		if err != nil {
			return err
		}
		c.registry.reported(c.worker, rep)
		// The connection works: failures and pauses count from here.
		c.refused, c.pause, c.since, c.tried = 0, 0, time.Time{}, false
	}
	return nil
}

// judge tells the node and the log what err, the end of a control connection or of
// the attempt to make one, says of the worker. Two refused connections in a row, and
// another boot at its address, are proof that the process has ended. Other errors can
// be those of the network. The log gets a failure that lasts, once a minute.
func (c *reportClient) judge(m cluster.Member, err error) {
	r := c.registry
	switch {
	case errors.Is(err, errReplaced): // proof that the life of m is over
		r.node.ReportReplaced(m.Name, m.Boot)
	case errors.Is(err, syscall.ECONNREFUSED):
		if c.refused++; c.refused >= refusals {
			r.node.ReportUnreachable(m.Name, m.Boot)
		}
	default:
		c.refused = 0
	}
	r.cfg.Logger.Debug("control stream of a worker is down", "worker", m.Name, "addr", m.Addr, "err", loglimit.Cut(err.Error()))
	now := time.Now()
	if c.since.IsZero() {
		c.since = now
	}
	if lasting(err) { // logged at once: only a person can mend it
		c.pause = max(c.pause, slowRedial/2)
	} else if now.Sub(c.since) < tellAfter {
		return
	}
	if c.logged.IsZero() || now.Sub(c.logged) >= tellEvery {
		c.logged = now
		r.lines.Log(slog.LevelWarn, "control", "a worker is not chosen: its control connection fails", "worker", m.Name, "addr", m.Addr, "err", err)
	}
}

// wait waits before the next dial; a stream that was up is dialled again at once.
// It returns false if the worker has another address.
func (c *reportClient) wait(ctx context.Context) bool {
	if c.pause <= 0 {
		return true
	}
	t := time.NewTimer(c.pause/2 + rand.N(c.pause/2+1))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-c.worker.readdr:
		c.pause = 0
		return false
	}
	return true
}

// hello returns what tells a worker who this registry is, with the secret of its
// tickets, and at which pace it wants reports. The caller holds mu.
func (r *Registry) hello(w *worker) reportHello {
	return reportHello{balancer: w.load.Balancer, key: [load.SecretSize]byte(w.load.Secret().Key()),
		workers: len(r.table.workers), heartbeat: min(r.cfg.HealthCheckInterval, maxHeartbeat)}
}

// repace tells all workers when their number has changed so much that reports
// come at another pace. The caller holds mu.
func (r *Registry) repace() {
	now := reportHello{workers: len(r.table.workers), heartbeat: min(r.cfg.HealthCheckInterval, maxHeartbeat)}
	heartbeat, gap := now.pace()
	was, wasGap := r.paced.pace()
	if heartbeat == was && gap == wasGap {
		return
	}
	r.paced = now
	r.work.Go(func() {
		// Collected under mu, sent without it.
		hellos := map[*rpcnet.Conn]reportHello{}
		r.each(func(w *worker, _ time.Duration) {
			if !w.broken {
				hellos[w.conn] = r.hello(w)
			}
		})
		for conn, hello := range hellos {
			ctx, cancel := context.WithTimeout(r.ctx, time.Second)
			// A worker that does not hear it keeps its pace until it is dialled again.
			var out []byte
			if err := rpcnet.NewClient(conn, nil).Unary(ctx, paceSpec, hello.append(nil), &out); err != nil {
				r.cfg.Logger.Debug("cannot change the pace of reports", "addr", conn.Addr(), "err", err)
			}
			cancel()
		}
	})
}
