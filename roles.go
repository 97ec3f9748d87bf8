package rpcnet

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/rpcnet-go/rpcnet/internal/loglimit"
	"github.com/rpcnet-go/rpcnet/internal/role"
)

// Roles are the rules for the roles of a cluster. The zero value takes everything
// from the peer's certificate:
//
//   - One with a SPIFFE id of the form spiffe://DOMAIN/rpcnet/ROLE/NAME has
//     the role that ROLE names: "worker" is a node and a worker, "director" a node
//     and a director, "node" all three, "admin" an administrator, "client" nothing
//     more. The command "rpcnet certs -role ROLE -name NAME" makes such ones.
//   - Any other that is good for servers (extended key usage serverAuth) has
//     every role.
//   - One that is good for clients alone is a client.
//
// A rule for a role replaces that for this role. With any rules, only a
// certificate for servers can be that of a node, worker or director, and a worker or
// director must also have the role of a node. Every peer is a client if the endpoint
// accepts its certificate, unless Client says otherwise; nodes and administrators
// always are.
type Roles struct {
	Client, Node, Worker, Director, Admin PeerRule
}

// A PeerRule is a condition on a peer. The zero value is no rule of its own: what
// [Roles] says of certificates.
type PeerRule struct {
	// Name is what logs and errors call the rule.
	Name string
	// Check returns nil for the peers that the rule allows; its error says why
	// another one is refused. It runs on any goroutine, several at a time. If it
	// panics, the peer is refused.
	Check func(Peer) error
}

// String returns what the rule allows, for logs and errors.
func (r PeerRule) String() string {
	if r.Check == nil {
		return "by certificate"
	}
	return r.Name
}

// Allow returns nil if the rule allows p, or if it has no Check, and otherwise an
// error that says why not.
func (r PeerRule) Allow(p Peer) (err error) {
	if r.Check == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the rule %s panicked: %v", r.Name, v)
		}
	}()
	return r.Check(p)
}

// PeerPattern allows a peer whose SPIFFE id, or one of whose DNS names, matches
// one of patterns. In a pattern "*" stands for any text without the separator
// ('/' in a SPIFFE id, '.' in a DNS name) and "**" for any text: for example
// "spiffe://prod.example/worker/*" or "*.workers.example". The pattern "**"
// allows every certificate. Without patterns no peer is allowed.
func PeerPattern(patterns ...string) PeerRule {
	patterns = slices.Clone(patterns)
	text := strings.Join(patterns, ", ")
	if text == "" {
		text = "nobody"
	}
	return PeerRule{Name: text, Check: func(p Peer) error {
		for _, pattern := range patterns {
			if matchPeer(pattern, p) {
				return nil
			}
		}
		return fmt.Errorf("allowed is %s", text)
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
	// Where the text differs, the last star takes one more byte, and the last double star
	// if the star cannot: earlier ones need no second look.
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

// check returns nil if p has the role, and otherwise an error that
// says why not.
func (r Roles) check(p Peer, asked role.Role) error {
	err := r.allow(p, asked)
	if err != nil {
		return fmt.Errorf("the certificate of %q may not be used as %s: %w", loglimit.Cut(p.ID), asked, err)
	}
	return nil
}

// checkServer is check for a server that was dialled, whose certificate may carry
// neither a DNS name nor an IP address: see extend.AllowServer.
func (r Roles) checkServer(p Peer, asked role.Role) error {
	if err := r.check(p, asked); err != nil || len(p.Names) > 0 {
		return err
	}
	_, stated := statedRole(p)
	member := asked == role.Node || asked == role.Worker || asked == role.Director
	if stated || r.rule(asked).Check != nil || member && r.Node.Check != nil {
		return nil
	}
	id := loglimit.Cut(p.ID)
	return fmt.Errorf("the certificate of %q carries no DNS name and no IP address, and no rule says that it may be used as %s: "+
		"set one in rpcnet.Roles, for example rpcnet.PeerPattern(%q)", id, asked, id)
}

// allow is check without the certificate's name in the error.
func (r Roles) allow(p Peer, asked role.Role) error {
	if asked >= role.Count {
		return fmt.Errorf("there is no role %d", uint8(asked))
	}
	// Nodes and administrators are clients as well, also against the rule for clients:
	// they call each other.
	if asked == role.Client {
		err := r.Client.Allow(p)
		if err != nil && (r.allow(p, role.Node) == nil || r.allow(p, role.Admin) == nil) {
			return nil
		}
		return err
	}
	member := asked != role.Admin
	if member && !serverUsage(p) {
		return fmt.Errorf("it is for clients alone (no extended key usage serverAuth)")
	}
	// A worker and a director are nodes with more to do.
	if asked == role.Worker || asked == role.Director {
		if err := r.allow(p, role.Node); err != nil {
			return err
		}
	}
	if rule := r.rule(asked); rule.Check != nil {
		return rule.Allow(p)
	}
	return byCertificate(p, asked)
}

// rule returns the rule of a role, the zero PeerRule if there is none.
func (r Roles) rule(asked role.Role) PeerRule {
	return [role.Count]PeerRule{r.Client, r.Node, r.Worker, r.Director, r.Admin}[asked]
}

// byCertificate is the rule of roles without one.
func byCertificate(p Peer, asked role.Role) error {
	stated, ok := statedRole(p)
	switch {
	case !ok && serverUsage(p):
		return nil
	case !ok:
		return fmt.Errorf("it is for clients alone (no extended key usage serverAuth)")
	case stated == asked, stated == role.Node && asked != role.Admin, asked == role.Node && (stated == role.Worker || stated == role.Director):
		return nil
	}
	return fmt.Errorf("its SPIFFE id says %s", stated)
}

// statedRole returns the role in a SPIFFE id of the form
// spiffe://DOMAIN/rpcnet/ROLE/NAME. An id of that form with an unknown role is a
// client's.
func statedRole(p Peer) (stated role.Role, ok bool) {
	u, err := url.Parse(p.ID)
	if err != nil || u.Scheme != "spiffe" {
		return 0, false
	}
	parts := strings.Split(u.Path, "/") // "", "rpcnet", ROLE, NAME
	if len(parts) < 3 || parts[1] != "rpcnet" {
		return 0, false
	}
	if i := slices.Index(role.Names[:], parts[2]); i >= 0 {
		return role.Role(i), true
	}
	return role.Client, true
}

// serverUsage reports whether the certificate of p is good for a server, as
// crypto/x509 judges it: a certificate without the extension is good for everything.
func serverUsage(p Peer) bool {
	if len(p.Chain) == 0 {
		return false
	}
	leaf := p.Chain[0]
	return len(leaf.ExtKeyUsage) == 0 && len(leaf.UnknownExtKeyUsage) == 0 ||
		slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// LogValue returns the rules in force.
func (r Roles) LogValue() slog.Value {
	attrs := make([]slog.Attr, role.Count)
	for of := range role.Count {
		text := r.rule(of).String()
		if of == role.Client && r.Client.Check == nil {
			text = "every certificate"
		}
		attrs[of] = slog.String(of.String(), text)
	}
	return slog.GroupValue(attrs...)
}

// openWorker says why certificates that are not meant for workers can be used
// as one, given this node's own; "" if they may not.
func (r Roles) openWorker(self Peer) string {
	switch _, stated := statedRole(self); {
	case r.Worker.Check != nil && r.Worker.Name == "**":
		return `the rule of Roles.Worker is "**"`
	case r.Worker.Check != nil || r.Node.Check != nil && r.Node.Name != "**":
		return ""
	case !stated:
		return "Roles.Worker is not set and this node's certificate states no role, so others need not either"
	}
	return ""
}
