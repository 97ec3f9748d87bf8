package rpcnet

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// A Role is what the holder of a certificate may be. See [Roles].
type Role uint8

// The roles.
const (
	// RoleClient may make calls. It is the role that every procedure of a user's
	// server asks for.
	RoleClient Role = iota
	// RoleNode may be a member of the cluster: gossip, and be gossiped about.
	RoleNode
	// RoleWorker is a node that may be given calls.
	RoleWorker
	// RoleDirector is a node that may choose among workers: it watches their load
	// and gives them to callers.
	RoleDirector
	// RoleAdmin may read the cluster's state and change it.
	RoleAdmin

	roleCount
)

var roleNames = [roleCount]string{"client", "node", "worker", "director", "admin"}

// String returns the role's name.
func (r Role) String() string {
	if r < roleCount {
		return roleNames[r]
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

// Roles say who may be what. The zero value takes everything from the peer's
// certificate:
//
//   - One with a SPIFFE id of the form spiffe://DOMAIN/rpcnet/ROLE/NAME may be
//     what ROLE says: "worker" is a node and a worker, "director" a node and a
//     director, "node" all three, "admin" an administrator, "client" nothing
//     more. The command "rpcnet certs -role ROLE -name NAME" makes such ones.
//   - Any other that is good for servers (extended key usage serverAuth) may be
//     everything.
//   - One that is good for clients alone may be a client.
//
// A rule for a role replaces that for this role. Whatever the rules say, only
// a certificate for servers may be a node, worker or director, and a worker or
// director must also be allowed to be a node. Everybody may be a client whose
// certificate the endpoint accepts, unless Client says otherwise; nodes and
// administrators may always.
type Roles struct {
	Client, Node, Worker, Director, Admin PeerRule
}

// A PeerRule is a condition on a peer, made by [PeerPattern] or [PeerFunc]. The
// zero value is no rule of its own: what [Roles] says of certificates.
type PeerRule struct {
	text  string
	check func(Peer) error
}

// String returns what the rule allows, for logs and errors.
func (r PeerRule) String() string {
	if r.check == nil {
		return "by certificate"
	}
	return r.text
}

// PeerPattern allows a peer whose SPIFFE id, or one of whose DNS names, matches
// one of patterns. In a pattern "*" stands for any text without the separator
// ('/' in a SPIFFE id, '.' in a DNS name) and "**" for any text: for example
// "spiffe://prod.example/worker/*" or "*.workers.example". The pattern "**"
// allows every certificate. Without patterns nobody is allowed.
func PeerPattern(patterns ...string) PeerRule {
	patterns = slices.Clone(patterns)
	text := strings.Join(patterns, ", ")
	if text == "" {
		text = "nobody"
	}
	return PeerRule{text: text, check: func(p Peer) error {
		for _, pattern := range patterns {
			if matchPeer(pattern, p) {
				return nil
			}
		}
		return fmt.Errorf("allowed is %s", text)
	}}
}

// PeerFunc allows the peers for which check returns nil; its error says why
// another one is refused. name is what logs and errors call the rule. check may
// run on any goroutine, several at a time. One that panics allows nobody.
func PeerFunc(name string, check func(Peer) error) PeerRule {
	return PeerRule{text: name, check: func(p Peer) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("the rule %s panicked: %v", name, r)
			}
		}()
		return check(p)
	}}
}

// matchPeer reports whether the SPIFFE id or a DNS name of p matches pattern.
func matchPeer(pattern string, p Peer) bool {
	if pattern == "**" {
		return true
	}
	if strings.HasPrefix(pattern, "spiffe://") {
		return strings.HasPrefix(p.ID, "spiffe://") && matchText(pattern, p.ID, '/')
	}
	pattern = strings.ToLower(pattern)
	return slices.ContainsFunc(p.Names, func(name string) bool { return matchText(pattern, strings.ToLower(name), '.') })
}

// matchText reports whether s matches pattern. Its time is at most the product
// of the lengths: it keeps the last "*" and the last "**" to go back to.
func matchText(pattern, s string, separator byte) bool {
	type mark struct{ pattern, text int }
	star, double := mark{-1, 0}, mark{-1, 0}
	i, j := 0, 0
	for j < len(s) {
		switch {
		case strings.HasPrefix(pattern[i:], "**"):
			double, star = mark{i + 2, j}, mark{-1, 0}
			i += 2
			continue
		case i < len(pattern) && pattern[i] == '*':
			star = mark{i + 1, j}
			i++
			continue
		case i < len(pattern) && pattern[i] == s[j]:
			i, j = i+1, j+1
			continue
		}
		switch {
		case star.pattern >= 0 && s[star.text] != separator:
			star.text++
			i, j = star.pattern, star.text
		case double.pattern >= 0:
			double.text++
			i, j, star = double.pattern, double.text, mark{-1, 0}
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}

// Allow returns nil if p may be what role says, and otherwise an error that
// says why not.
func (r Roles) Allow(p Peer, role Role) error {
	err := r.allow(p, role)
	if err != nil {
		return fmt.Errorf("the certificate of %q may not be used as %s: %w", loglimit.Cut(p.ID), role, err)
	}
	return nil
}

// AllowServer is [Roles.Allow] for a server that was dialled. When its certificate
// carries no DNS name and no IP address, nothing but its SPIFFE id tells it from
// others at that address. It must then say the role itself or meet a rule of r: a
// rule for the role, or one for nodes when the role is a worker's or a director's.
func (r Roles) AllowServer(p Peer, role Role) error {
	if err := r.Allow(p, role); err != nil || len(p.Names) > 0 {
		return err
	}
	_, stated := statedRole(p)
	member := role == RoleNode || role == RoleWorker || role == RoleDirector
	if stated || r.rule(role).check != nil || member && r.Node.check != nil {
		return nil
	}
	id := loglimit.Cut(p.ID)
	return fmt.Errorf("the certificate of %q carries no DNS name and no IP address, and no rule says that it may be used as %s: "+
		"set one in rpcnet.Roles, for example rpcnet.PeerPattern(%q)", id, role, id)
}

func (r Roles) allow(p Peer, role Role) error {
	if role >= roleCount {
		return fmt.Errorf("there is no role %d", uint8(role))
	}
	if role == RoleClient {
		err := r.Client.allow(p)
		if err != nil && (r.allow(p, RoleNode) == nil || r.allow(p, RoleAdmin) == nil) {
			return nil
		}
		return err
	}
	member := role != RoleAdmin
	if member && !serverUsage(p) {
		return fmt.Errorf("it is for clients alone (no extended key usage serverAuth)")
	}
	if role == RoleWorker || role == RoleDirector {
		if err := r.allow(p, RoleNode); err != nil {
			return err
		}
	}
	if rule := r.rule(role); rule.check != nil {
		return rule.allow(p)
	}
	return byCertificate(p, role)
}

func (r Roles) rule(role Role) PeerRule {
	return [roleCount]PeerRule{r.Client, r.Node, r.Worker, r.Director, r.Admin}[role]
}

func (r PeerRule) allow(p Peer) error {
	if r.check == nil {
		return nil
	}
	return r.check(p)
}

// byCertificate is the rule of roles without one.
func byCertificate(p Peer, role Role) error {
	stated, ok := statedRole(p)
	switch {
	case !ok && serverUsage(p):
		return nil
	case !ok:
		return fmt.Errorf("it is for clients alone (no extended key usage serverAuth)")
	case stated == role, stated == RoleNode && role != RoleAdmin, role == RoleNode && (stated == RoleWorker || stated == RoleDirector):
		return nil
	}
	return fmt.Errorf("its SPIFFE id says %s", stated)
}

// statedRole returns the role in a SPIFFE id of the form
// spiffe://DOMAIN/rpcnet/ROLE/NAME. An id of that form with an unknown role is a
// client's.
func statedRole(p Peer) (role Role, ok bool) {
	u, err := url.Parse(p.ID)
	if err != nil || u.Scheme != "spiffe" {
		return 0, false
	}
	parts := strings.Split(u.Path, "/") // "", "rpcnet", ROLE, NAME
	if len(parts) < 3 || parts[1] != "rpcnet" {
		return 0, false
	}
	if i := slices.Index(roleNames[:], parts[2]); i >= 0 {
		return Role(i), true
	}
	return RoleClient, true
}

// serverUsage reports whether the certificate of p may be a server's, as
// crypto/x509 judges it: a certificate without the extension may be everything.
func serverUsage(p Peer) bool {
	if len(p.Chain) == 0 {
		return false
	}
	leaf := p.Chain[0]
	return len(leaf.ExtKeyUsage) == 0 && len(leaf.UnknownExtKeyUsage) == 0 ||
		slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// LogValue tells the rules in force.
func (r Roles) LogValue() slog.Value {
	attrs := make([]slog.Attr, roleCount)
	for role := range roleCount {
		text := r.rule(role).String()
		if role == RoleClient && r.Client.check == nil {
			text = "every certificate"
		}
		attrs[role] = slog.String(role.String(), text)
	}
	return slog.GroupValue(attrs...)
}

// openWorker says why certificates that are not meant for workers may be used
// as one, given this node's own; "" if they may not.
func (r Roles) openWorker(self Peer) string {
	switch _, stated := statedRole(self); {
	case r.Worker.check != nil && r.Worker.text == "**":
		return `the rule of Roles.Worker is "**"`
	case r.Worker.check != nil || r.Node.check != nil && r.Node.text != "**":
		return ""
	case !stated:
		return "Roles.Worker is not set and this node's certificate states no role, so others need not either"
	}
	return ""
}

// Allow returns nil if p may be what role says by the endpoint's [Roles], and
// otherwise an error that says why not.
func (ep *Endpoint) Allow(p Peer, role Role) error { return ep.cfg.Roles.Allow(p, role) }

// AllowServer is [Roles.AllowServer] with the endpoint's rules.
func (ep *Endpoint) AllowServer(p Peer, role Role) error { return ep.cfg.Roles.AllowServer(p, role) }

// allowCall decides whether a peer may call a procedure that asks for a role.
func (ep *Endpoint) allowCall(p Peer, e *entry) error {
	err := ep.Allow(p, e.role)
	if err != nil {
		ep.lines.Log(slog.LevelWarn, "role", "refused a call", "procedure", e.spec.Procedure, "addr", p.Addr, "err", err)
	}
	return err
}

// logRoles tells at the start of a node which roles are in force.
func (ep *Endpoint) logRoles() {
	self := ep.Self()
	var own []string
	for role := range roleCount {
		if ep.cfg.Roles.Allow(self, role) == nil {
			own = append(own, role.String())
		}
	}
	ep.cfg.Logger.Info("roles in force", "certificate", loglimit.Cut(self.ID), "may_be", strings.Join(own, ","), "roles", ep.cfg.Roles)
	if why := ep.cfg.Roles.openWorker(self); why != "" {
		ep.cfg.Logger.Warn("any certificate for servers may be a worker: set rpcnet.EndpointConfig.Roles, or use certificates that state a role", "because", why)
	}
}

// Self returns the endpoint's own identity, as peers see it, by the certificate
// that is in use now. Its address is the one that was bound.
func (ep *Endpoint) Self() Peer {
	return newPeer(ep.Addr(), ep.source.Chain())
}
