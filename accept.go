package rpcnet

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/budget"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/role"
	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/tlsconn"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// Connections are accepted at a rate of acceptBurst in an acceptPause at most,
// 4 000 a second: what a handshake costs bounds those of callers to less.
const (
	acceptBurst = 8
	acceptPause = 2 * time.Millisecond
)

// acceptLoop accepts connections until the listener is closed. What a connection costs
// before its certificate is known is bounded by the admission.
func (ep *Endpoint) acceptLoop() {
	defer ep.life.work.Done()
	begin := time.Now()
	for i := 1; ; i++ {
		if i%acceptBurst == 0 { // a flood of connections leaves the processors to calls in between
			time.Sleep(acceptPause - time.Since(begin))
			begin = time.Now()
		}
		c, err := ep.listener.Accept()
		if err != nil {
			if ep.life.base.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			// Without descriptors every further accept fails as well, until a connection goes.
			ep.refused("accept", "cannot accept a connection", nil, err)
			ep.arrivals.relieve() // out of descriptors, most likely
			select {
			case <-ep.arrivals.freed:
			case <-time.After(50 * time.Millisecond):
			case <-ep.life.base.Done():
				return
			}
			continue
		}
		// A place may have to be taken from another connection, which is then closed.
		n, victims, err := ep.arrivals.admit(ep.life.base, c)
		for _, v := range victims {
			ep.refused("handshakes", "gave up a connection for another one: too many have not finished their handshake", v.conn.RemoteAddr(), nil)
		}
		if err != nil {
			c.Close()
			if err == errAdmissionClosed {
				return
			}
			ep.refused("limit", "refused a connection", c.RemoteAddr(), err)
			continue
		}
		go ep.welcome(n)
	}
}

// refused counts and logs a connection that did not become a session, as often
// as the limit of such lines allows. reason is a constant, which the counters and the
// limit of lines go by. addr and err can be nil.
func (ep *Endpoint) refused(reason, msg string, addr net.Addr, err error) {
	ep.arrivals.countRefusal(reason)
	args := make([]any, 0, 4)
	if addr != nil {
		args = append(args, "addr", addr)
	}
	if err != nil {
		args = append(args, "err", err)
	}
	ep.lines.Log(slog.LevelWarn, reason, msg, args...)
}

// welcome runs the handshake on a new connection and hands it to its protocol. It is
// the connection's own goroutine. The place of the admission is free again before the
// protocol runs, since that lasts as long as the connection.
func (ep *Endpoint) welcome(n *arrival) {
	run := ep.handshake(n)
	ep.arrivals.leave(n)
	if run != nil {
		run()
	}
}

// authorize asks EndpointConfig.Authorize. If it panics the caller is refused. It runs on
// the connection's goroutine, so that a slow check delays only its own caller.
func (ep *Endpoint) authorize(peer Peer) (err error) {
	if ep.cfg.Authorize == nil {
		return nil
	}
	// A check that panics must not let a caller in, nor end the process.
	defer func() {
		if p := recover(); p != nil {
			ep.lines.Log(slog.LevelError, "authorize panicked", "rpcnet.EndpointConfig.Authorize panicked", "caller", peer.ID,
				"addr", peer.Addr, "panic", fmt.Sprint(p), "stack", stack(debug.Stack()))
			err = errors.New("the check of callers failed")
		}
	}()
	return ep.cfg.Authorize(peer)
}

// handshake brings a connection to its protocol, in this order:
//
//	TLS          both certificates are of the authorities, valid, and good for it;
//	             a client of HTTP may have none
//	Authorize    the program's own check
//	role         what the protocol asks for; a session asks for the role of a client
//	place        the sessions and the memory of one peer
//	SETTINGS     both sides speak the same protocol; the target is this node
//
// What fails before SETTINGS tells the peer why, if it speaks our protocol. It
// returns what is to be run on the connection, nil if it was refused
// or is a session, which runs by itself.
func (ep *Endpoint) handshake(n *arrival) (run func()) {
	w := ep.extensions.wired.Load()
	conn, err := tlsconn.Accept(ep.life.base, n.conn, ep.source, credentials.Accept{
		ALPN: w.alpn, HTTP: w.http != nil, Hello: func(*tls.ClientHelloInfo) { n.spoken.Store(true) },
	})
	if err != nil {
		switch addr := n.conn.RemoteAddr(); {
		case ep.life.base.Err() != nil, ep.arrivals.wasGivenUp(n):
		// Port scans and health checks hang up early: they are no reason for a warning.
		case harmless(err):
			ep.lines.Log(slog.LevelDebug, "harmless", "connection without a session", "addr", addr, "err", err)
		default:
			ep.refused("handshake", "refused a connection", addr, err)
		}
		return nil
	}
	peer := peerOf(conn)
	if conn.HTTP() {
		return ep.http(w, conn, peer)
	}
	chosen := conn.ConnectionState().NegotiatedProtocol
	h := w.protocols[chosen] // for sessions none, and role.Client
	if err = ep.admits(peer, h.Role); err != nil {
		// Only a session has a way to say why; other protocols see the connection end.
		if chosen == protocol {
			refuse(conn, err.Error())
		}
		conn.Close()
		return nil
	}
	// Another protocol's connection lives outside of the admission: its place is given
	// back before it runs.
	if chosen != protocol {
		return func() { h.Run(conn, peer) }
	}
	account, err := ep.startSession(&peer)
	if err != nil {
		if !errors.Is(err, errServerDrains) {
			ep.refused("limit", "refused a connection", peer.Addr, err)
		}
		refuse(conn, err.Error())
		conn.Close()
		return nil
	}
	defer ep.callers.starting.Done()
	// What all calls of the session have in common is made once.
	d := &dispatcher{host: &host{peer: peer}, find: ep.find, outer: ep.outer, allow: ep.allowCall, lines: ep.lines, await: ep.awaitServe}
	cfg := ep.sessionConfig()
	cfg.Identity, cfg.CheckPeer = w.identity.wire(), ep.checkTarget
	cfg.Handler, cfg.Pool, cfg.Account = d, &ep.pool, account
	cfg.Ended = func(s *session.Session) {
		ep.callers.ended(s, &peer)
		ep.lines.Log(slog.LevelDebug, "session ended", "session ended", "peer", peer.ID, "addr", peer.Addr, "err", s.Err())
	}
	s, err := session.New(conn, cfg, settingsTimeout, func(s *session.Session) { d.host.draining = s.Drained() })
	// New has closed the connection and returned the memory of the account.
	if err != nil {
		ep.callers.ended(nil, &peer)
		if !ep.arrivals.wasGivenUp(n) {
			ep.refused("settings", "refused a connection", peer.Addr, err)
		}
		return nil
	}
	// The session runs already. If it has ended meanwhile, Ended was called before it
	// could be added, and add keeps nothing.
	expiry, expire := ep.expiry(s, peer)
	if !ep.callers.add(s, expiry, expire) {
		s.Close()
	}
	return nil
}

// admits asks the program's own check and the rules for a role. It counts and logs a
// peer that it refuses.
func (ep *Endpoint) admits(peer Peer, asked role.Role) error {
	err := ep.authorize(peer)
	if err == nil {
		err = ep.cfg.Roles.check(peer, asked)
	}
	if err != nil {
		ep.refused("authorization", "refused a connection", peer.Addr, err)
	}
	return err
}

// http returns what runs a connection of HTTP. A client that has shown a certificate
// must be good for a session, too. One without is nameless, and what serves HTTP
// decides about it.
func (ep *Endpoint) http(w *wired, conn *tlsconn.Conn, peer Peer) (run func()) {
	if len(peer.Chain) > 0 && ep.admits(peer, role.Client) != nil {
		conn.Close()
		return nil
	}
	// net/http recognises HTTP/2 by the type of the connection.
	return func() { w.http(conn.Conn, peer) }
}

// expiry returns what ends a session when its caller's certificate expires, or one
// of those that vouch for it: when, and how. The time is zero if nothing does.
func (ep *Endpoint) expiry(s *session.Session, peer Peer) (end time.Time, expire func()) {
	if ep.cfg.SessionsPastExpiry {
		return time.Time{}, nil
	}
	end = peer.Chain[0].NotAfter
	for _, c := range peer.Chain[1:] {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end, func() {
		ep.lines.Log(slog.LevelWarn, "expired", "a caller's certificate has expired: its session takes no more calls",
			"peer", peer.ID, "addr", peer.Addr, "expired", end)
		<-s.Drain() // closed with the session
		linger(s, drainedLinger, nil)
		s.Close()
	}
}

// errServerDrains is what a caller hears that comes while the endpoint drains. It is
// no refusal to count: the caller goes elsewhere.
var errServerDrains = errors.New("the server is draining")

// startSession notes a session of a peer that begins, and takes its memory from
// the peer's account.
func (ep *Endpoint) startSession(peer *Peer) (*budget.Account, error) {
	if err := ep.callers.begin(peer); err != nil {
		return nil, err
	}
	account, err := session.Charge(ep.budget, peer.key())
	if err != nil {
		ep.callers.starting.Done()
		ep.callers.ended(nil, peer)
		return nil, err
	}
	return account, nil
}

// allowCall decides whether a peer may call a procedure that asks for a role.
func (ep *Endpoint) allowCall(p Peer, e *entry) error {
	err := ep.cfg.Roles.check(p, e.role)
	if err != nil {
		ep.lines.Log(slog.LevelWarn, "role", "refused a call", "procedure", e.spec.Procedure, "addr", p.Addr, "err", err)
	}
	return err
}

// checkTarget refuses a session whose caller wants another node than this one.
func (ep *Endpoint) checkTarget(want wire.Identity) error {
	self := ep.extensions.wired.Load().identity
	if err := Target(want).check(self); err != nil {
		return fmt.Errorf("this is %s, the caller wants %s", self, Target(want))
	}
	return nil
}

// refuse tells a peer why it is not welcome, and lets it hang up: what it has
// sent and was not read would take the reason with it.
func refuse(conn *tlsconn.Conn, why string) {
	session.Refuse(conn, why)
	conn.SetReadDeadline(time.Now().Add(lingerTimeout))
	io.Copy(io.Discard, io.LimitReader(conn, 64<<10))
}

// packetLoop reads the endpoint's datagrams and hands gossip's to the extension that
// takes them, one after the other. What nothing takes is dropped.
func (ep *Endpoint) packetLoop() {
	defer close(ep.packets)
	ep.udp.SetReadBuffer(2 << 20) // as much of it as the system allows
	b := make([]byte, 64<<10)
	for {
		n, from, err := ep.udp.ReadFromUDPAddrPort(b)
		if err != nil {
			if ep.life.base.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			continue // an ICMP error of an earlier datagram
		}
		// A first byte below 0x40 is gossip's. Those above are QUIC's (RFC 9443), for
		// which the port is kept.
		if f := ep.extensions.wired.Load().packet; f != nil && n > 0 && b[0] < 0x40 {
			f(b[:n], tlsconn.Unmap(from))
		}
	}
}

// peerOf returns the identity that a connection's handshake has proved. A client of HTTP
// may have none.
func peerOf(conn *tlsconn.Conn) Peer {
	return newPeer(conn.RemoteAddr(), conn.Chain())
}

// harmless reports whether a handshake failed because the peer hung up, as a
// port scan and a health check do, or wanted a protocol that is not served now,
// as the cluster does from a node that has just left it.
func harmless(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, tlsconn.ErrProtocol)
}
