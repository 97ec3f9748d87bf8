package rpcnet

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/budget"
	"github.com/rpcnet-go/rpcnet/internal/link"
	"github.com/rpcnet-go/rpcnet/internal/session"
)

// maxPending is how many connections may be in their handshake. When more
// come, the oldest is closed, so that those who connect and say nothing cannot
// keep others out.
const maxPending = 512

func (ep *Endpoint) acceptLoop() {
	defer ep.wg.Done()
	for {
		c, err := ep.listener.Accept()
		if err != nil {
			if ep.base.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			ep.cfg.logger.Warn("cannot accept a connection", "err", err)
			select { // out of file descriptors, most likely
			case <-time.After(50 * time.Millisecond):
			case <-ep.base.Done():
				return
			}
			continue
		}
		if !ep.begin(c) {
			c.Close()
			return
		}
		go ep.welcome(c)
	}
}

// begin notes a connection whose handshake starts.
func (ep *Endpoint) begin(c net.Conn) bool {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	if ep.closed {
		return false
	}
	if len(ep.pending) >= maxPending {
		ep.pending[0].Close() // its goroutine takes it off the list
	}
	ep.pending = append(ep.pending, c)
	ep.wg.Add(1)
	return true
}

func (ep *Endpoint) end(c net.Conn) {
	ep.mu.Lock()
	if i := slices.Index(ep.pending, c); i >= 0 {
		ep.pending = slices.Delete(ep.pending, i, i+1)
	}
	ep.mu.Unlock()
	ep.wg.Done()
}

// welcome runs the handshake on a new connection and hands it to its protocol.
func (ep *Endpoint) welcome(c net.Conn) {
	run := ep.handshake(c)
	ep.end(c)
	if run != nil {
		run()
	}
}

// authorize asks WithAuthorize's function. One that panics agrees with nobody.
func (ep *Endpoint) authorize(peer Peer) (err error) {
	if ep.cfg.authorize == nil {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			ep.cfg.logger.Error("the function of rpcnet.WithAuthorize panicked", "caller", peer.ID, "addr", peer.Addr,
				"panic", p, "stack", string(debug.Stack()))
			err = errors.New("the check of callers failed")
		}
	}()
	return ep.cfg.authorize(peer)
}

// handshake returns what is to be run on the connection, nil if it was refused
// or is a session, which runs by itself.
func (ep *Endpoint) handshake(c net.Conn) (run func()) {
	w := ep.wired.Load()
	lane, err := ep.source.Accept(ep.base, c, w.alpn, nil)
	if err != nil {
		switch {
		case ep.base.Err() != nil:
		case harmless(err):
			ep.cfg.logger.Debug("connection without a session", "addr", c.RemoteAddr(), "err", err)
		default:
			ep.refusals.add(c.RemoteAddr(), err)
		}
		return nil
	}
	peer := peerOf(lane)
	chosen := lane.ConnectionState().NegotiatedProtocol
	h := w.protocols[chosen] // for sessions none, and RoleClient
	err = ep.authorize(peer)
	if err == nil {
		err = ep.Allow(peer, h.role)
	}
	if err != nil {
		ep.refusals.add(peer.Addr, err)
		if chosen == protocol {
			refuse(lane, err.Error())
		}
		lane.Close()
		return nil
	}
	if chosen != protocol {
		return func() { h.run(lane, peer) }
	}
	account, err := ep.startSession(&peer)
	if err != nil {
		if !errors.Is(err, errServerDrains) {
			ep.refusals.add(peer.Addr, err)
		}
		refuse(lane, err.Error())
		lane.Close()
		return nil
	}
	defer ep.starting.Done()
	d := &dispatcher{host: &host{peer: peer}, find: ep.find, outer: ep.outer, allow: ep.allowCall, logger: ep.cfg.logger}
	cfg := ep.sessionConfig()
	cfg.Identity, cfg.CheckPeer = w.identity.wire(), ep.checkTarget
	cfg.Handler, cfg.Pool, cfg.Account = d, &ep.pool, account
	cfg.Ended = func(s *session.Session) {
		ep.mu.Lock()
		delete(ep.sessions, s)
		ep.forgetLocked(&peer)
		ep.mu.Unlock()
		ep.cfg.logger.Debug("session ended", "peer", peer.ID, "addr", peer.Addr, "err", s.Err())
	}
	s, err := session.New(lane, cfg, settingsTimeout, func(s *session.Session) { d.host.draining = s.Drained() })
	if err != nil {
		ep.mu.Lock()
		ep.forgetLocked(&peer)
		ep.mu.Unlock()
		ep.refusals.add(peer.Addr, err)
		return nil
	}
	ep.mu.Lock()
	closed := ep.closed
	if s.Err() == nil {
		ep.sessions[s] = true
	}
	ep.mu.Unlock()
	if closed {
		s.Close()
	}
	return nil
}

var errServerDrains = errors.New("the server is draining")

// startSession notes a session of a peer that begins, and takes its memory from
// the peer's account, unless the endpoint drains or the peer has its share. A
// session that has begun is drained: its peer may have made calls already.
func (ep *Endpoint) startSession(peer *Peer) (*budget.Account, error) {
	key := peer.key()
	ep.mu.Lock()
	defer ep.mu.Unlock()
	if ep.draining || ep.closed {
		return nil, errServerDrains
	}
	if limit := ep.cfg.peerSessions(); ep.perPeer[key] >= limit {
		return nil, fmt.Errorf("the peer has %d sessions already: see rpcnet.WithPeerLimits", limit)
	}
	account, err := session.Charge(ep.budget, key)
	if err != nil {
		return nil, err
	}
	ep.perPeer[key]++
	ep.starting.Add(1)
	return account, nil
}

// forgetLocked notes the end of a session that startSession has begun. mu is
// held.
func (ep *Endpoint) forgetLocked(peer *Peer) {
	key := peer.key()
	if ep.perPeer[key]--; ep.perPeer[key] == 0 {
		delete(ep.perPeer, key)
	}
}

// refuse tells a peer why it is not welcome, and lets it hang up: what it has
// sent and nobody read would take the reason with it.
func refuse(lane *link.Lane, why string) {
	session.Refuse(lane, why)
	lane.SetReadDeadline(time.Now().Add(lingerTimeout))
	io.Copy(io.Discard, io.LimitReader(lane, 64<<10))
}

// packetLoop reads the endpoint's datagrams.
func (ep *Endpoint) packetLoop() {
	defer ep.wg.Done()
	ep.udp.SetReadBuffer(2 << 20) // as much of it as the system allows
	b := make([]byte, 64<<10)
	for {
		n, from, err := ep.udp.ReadFromUDPAddrPort(b)
		if err != nil {
			if ep.base.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			continue // an ICMP error of an earlier datagram
		}
		if f := ep.wired.Load().packet; f != nil && n > 0 && b[0] < 0x40 {
			f(b[:n], link.Unmap(from))
		}
	}
}

// peerOf returns the identity that a lane's handshake has proved.
func peerOf(lane *link.Lane) Peer {
	return newPeer(lane.RemoteAddr(), lane.Chain())
}

// A refusalLog logs refused connections: each while they are few, a count of
// the rest once a second, so that a stranger cannot fill the log.
type refusalLog struct {
	logger *slog.Logger

	mu      sync.Mutex
	since   time.Time
	n       int
	skipped int
}

const refusalsPerSecond = 10

func newRefusalLog(l *slog.Logger) *refusalLog { return &refusalLog{logger: l} }

func (r *refusalLog) add(addr net.Addr, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.since) > time.Second {
		r.since, r.n = now, 0
	}
	if r.n++; r.n > refusalsPerSecond {
		r.skipped++
		return
	}
	args := []any{"addr", addr, "err", err}
	if r.skipped > 0 {
		args = append(args, "skipped", r.skipped)
		r.skipped = 0
	}
	r.logger.Warn("refused a connection", args...)
}

// harmless reports whether a handshake failed because the peer hung up, as a
// port scan and a health check do, or wanted a protocol that is not served now,
// as the cluster does from a node that has just left it.
func harmless(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, link.ErrProtocol)
}
