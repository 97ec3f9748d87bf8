package bridge

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
	rolepkg "github.com/rpcnet-go/rpcnet/internal/role"
)

// A role is what a caller may do.
type role uint8

// The roles of callers.
const (
	roleAny   role = iota // what every caller may who is known
	roleCall              // makes calls
	roleView              // sees metrics
	roleAdmin             // all
)

// roleNames are the names of the roles, as the file of tokens has
// them.
var roleNames = [...]string{"any", "call", "view", "admin"}

// String returns the name.
func (r role) String() string { return roleNames[r] }

// A caller is who sends a request.
type caller struct {
	name string // of the certificate or the token; the budget counts by it
	role role
}

// may reports whether the caller may do what asks for a role.
func (c caller) may(asked role) bool {
	return asked == roleAny || c.role == asked || c.role == roleAdmin
}

// certifiedKey is the key of a connection's certified caller in
// the contexts of its requests.
type certifiedKey struct{}

// A certified is a caller with a certificate, which the handshake
// has verified.
type certified struct {
	caller
	peer  rpcnet.Peer
	until time.Time // the certificate, or one above it, expires
}

// The callers of a bridge are who its file of tokens names, and
// who has a certificate of its endpoint's authorities.
type callers struct {
	tokens *tokens // nil: there is no file
	lines  *loglimit.Limiter
}

// authenticate returns who sends a request: by the certificate of
// the connection, else by the token.
func (c *callers) authenticate(r *http.Request) (caller, bool) {
	if who, ok := r.Context().Value(certifiedKey{}).(*certified); ok {
		// The connection can outlive the certificate.
		if time.Now().Before(who.until) {
			return who.caller, true
		}
		c.lines.Log(slog.LevelWarn, "expired", "bridge: refused a request: the caller's certificate has expired", "peer", who.peer.ID, "addr", who.peer.Addr)
		return caller{}, false
	}
	// Nothing but this header carries a token: those in URLs end
	// in logs.
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return caller{}, false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if ok && len(values) == 1 && strings.EqualFold(scheme, "Bearer") && c.tokens != nil {
		if who, ok := c.tokens.find(token); ok {
			return who, true
		}
	}
	c.lines.Log(slog.LevelWarn, "token", "bridge: refused a request with an unknown token", "addr", r.RemoteAddr)
	return caller{}, false
}

// certify returns the caller at the other end of a connection,
// nil if it has shown no certificate. As for a session, the rules
// for roles are asked once for each connection.
func (c *callers) certify(ep *rpcnet.Endpoint, peer rpcnet.Peer) *certified {
	if len(peer.Chain) == 0 {
		return nil
	}
	// Every certificate that is good for a session can call. One
	// that can change a cluster sees everything.
	who := &certified{caller{"certificate " + peer.ID, roleCall}, peer, peer.Chain[0].NotAfter}
	for _, cert := range peer.Chain[1:] {
		if cert.NotAfter.Before(who.until) {
			who.until = cert.NotAfter
		}
	}
	if extend.Allow(extend.Roles(ep), peer, rolepkg.Admin) == nil {
		who.role = roleAdmin
	}
	return who
}
