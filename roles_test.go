package rpcnet_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/role"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/internal/tlsconn"
	"github.com/rpcnet-go/rpcnet/internal/wire"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

var (
	clientUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	bothUsages  = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
)

// peerWith returns a peer as a certificate with these names and usages makes
// it.
func peerWith(t *testing.T, ca *credentials.DevCA, usages []x509.ExtKeyUsage, names ...string) rpcnet.Peer {
	t.Helper()
	src := newParty(t, ca, credentials.Leaf{Hosts: names, Usages: usages}).source
	p := rpcnet.Peer{Chain: src.Chain(), Names: src.Chain()[0].DNSNames}
	if len(names) > 0 {
		p.ID = names[0]
	}
	return p
}

func TestRolesByCertificate(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	for _, test := range []struct {
		usages []x509.ExtKeyUsage
		name   string
		may    string // roles in order: client, node, worker, director, admin
	}{
		{clientUsage, "client-1", "c----"},
		{bothUsages, "node-1", "cnwda"},
		{[]x509.ExtKeyUsage{}, "any-use", "cnwda"},
		{bothUsages, "spiffe://prod.example/ns/x/sa/y", "cnwda"},
		{bothUsages, "spiffe://d/rpcnet/client/a", "c----"},
		{bothUsages, "spiffe://d/rpcnet/node/a", "cnwd-"},
		{bothUsages, "spiffe://d/rpcnet/worker/a", "cnw--"},
		{bothUsages, "spiffe://d/rpcnet/director/a", "cn-d-"},
		{bothUsages, "spiffe://d/rpcnet/admin/a", "c---a"},
		{clientUsage, "spiffe://d/rpcnet/admin/a", "c---a"},
		{clientUsage, "spiffe://d/rpcnet/worker/a", "c----"},
		{bothUsages, "spiffe://d/rpcnet/emperor/a", "c----"},
		{bothUsages, "spiffe://d/rpcnet", "cnwda"},
	} {
		p := peerWith(t, ca, test.usages, test.name)
		if got := rolesOf(rpcnet.Roles{}, p); got != test.may {
			t.Errorf("%s with usages %v: %s, want %s", test.name, test.usages, got, test.may)
		}
	}
	if got := rolesOf(rpcnet.Roles{}, rpcnet.Peer{ID: "no certificate"}); got != "c----" {
		t.Errorf("a peer without a certificate: %s", got)
	}
}

func rolesOf(r rpcnet.Roles, p rpcnet.Peer) string {
	var b strings.Builder
	for of, letter := range "cnwda" {
		if extend.Allow(r, p, role.Role(of)) != nil {
			letter = '-'
		}
		b.WriteRune(letter)
	}
	return b.String()
}

func TestRulesOfRoles(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	worker := peerWith(t, ca, bothUsages, "spiffe://prod/worker/7")
	named := peerWith(t, ca, bothUsages, "a.workers.example")
	client := peerWith(t, ca, clientUsage, "spiffe://prod/worker/8")
	for _, test := range []struct {
		what  string
		roles rpcnet.Roles
		peer  rpcnet.Peer
		may   string
	}{
		{"a pattern that fits", rpcnet.Roles{Worker: rpcnet.PeerPattern("spiffe://prod/worker/*")}, worker, "cnwda"},
		{"a pattern that does not", rpcnet.Roles{Worker: rpcnet.PeerPattern("spiffe://prod/director/*")}, worker, "cn-da"},
		{"a worker must be a node", rpcnet.Roles{Node: rpcnet.PeerPattern("other")}, worker, "c---a"},
		{"no pattern", rpcnet.Roles{Admin: rpcnet.PeerPattern()}, worker, "cnwd-"},
		{"DNS names", rpcnet.Roles{Director: rpcnet.PeerPattern("x", "*.Workers.example")}, named, "cnwda"},
		{"no rule makes a client's certificate a node's", rpcnet.Roles{
			Node: rpcnet.PeerPattern("**"), Worker: rpcnet.PeerPattern("**"), Admin: rpcnet.PeerPattern("**"),
		}, client, "c---a"},
		{"clients that are not listed", rpcnet.Roles{Client: rpcnet.PeerPattern("friend")}, client, "-----"},
		{"nodes are clients", rpcnet.Roles{Client: rpcnet.PeerPattern("friend")}, worker, "cnwda"},
		{"a function", rpcnet.Roles{Worker: rpcnet.PeerRule{Name: "nobody", Check: func(rpcnet.Peer) error { return errors.New("no") }}}, worker, "cn-da"},
		{"a function that panics", rpcnet.Roles{Worker: rpcnet.PeerRule{Name: "bad", Check: func(rpcnet.Peer) error { panic("x") }}}, worker, "cn-da"},
	} {
		if got := rolesOf(test.roles, test.peer); got != test.may {
			t.Errorf("%s: %s, want %s", test.what, got, test.may)
		}
	}
}

func TestAServerWithASPIFFEIdAloneNeedsARule(t *testing.T) {
	t.Parallel()
	const id = "spiffe://prod.example/ns/x"
	ca := testkit.NewCA(t)
	rule := rpcnet.PeerPattern("spiffe://prod.example/**")
	for _, c := range []struct {
		roles rpcnet.Roles
		names []string
		role  role.Role
		may   bool
	}{
		{rpcnet.Roles{}, []string{id}, role.Node, false},
		{rpcnet.Roles{}, []string{id}, role.Client, false},
		{rpcnet.Roles{}, []string{id, "a.example"}, role.Node, true},
		{rpcnet.Roles{}, []string{"spiffe://prod.example/rpcnet/worker/a"}, role.Worker, true},
		{rpcnet.Roles{}, []string{"spiffe://prod.example/rpcnet/worker/a"}, role.Director, false},
		{rpcnet.Roles{Node: rule}, []string{id}, role.Worker, true},
		{rpcnet.Roles{Worker: rule}, []string{id}, role.Worker, true},
		{rpcnet.Roles{Worker: rule}, []string{id}, role.Node, false},
		{rpcnet.Roles{Node: rule}, []string{"spiffe://other.example/ns/x"}, role.Node, false},
		{rpcnet.Roles{Node: rule}, []string{id}, role.Admin, false},
	} {
		err := extend.AllowServer(c.roles, peerWith(t, ca, bothUsages, c.names...), c.role)
		if (err == nil) != c.may {
			t.Errorf("%q as %s under %v: %v, want allowed %v", c.names, c.role, c.roles, err, c.may)
		}
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	for _, test := range []struct {
		pattern, name string
		fits          bool
	}{
		{"spiffe://a/*/b", "spiffe://a/x/b", true},
		{"spiffe://a/*/b", "spiffe://a/x/y/b", false},
		{"spiffe://a/**", "spiffe://a/x/y/b", true},
		{"spiffe://a/**/b", "spiffe://a/x/y/b", true},
		{"spiffe://a/**/b*d/c", "spiffe://a/x/bd/bcd/c", true},
		{"spiffe://a/*", "spiffe://ab/x", false},
		{"spiffe://*/x", "spiffe://a/x", true},
		{"spiffe://a/x", "spiffe://a/xy", false},
		{"*.example", "a.example", true},
		{"*.example", "a.b.example", false},
		{"**.example", "a.b.example", true},
		{"*", "a", true},
		{"*", "spiffe://a/x", false},
		{"", "a", false},
		{"a*", "a", true},
		{strings.Repeat("*a", 100), strings.Repeat("a", 200) + "b", false},
	} {
		p := peerWith(t, ca, bothUsages, test.name)
		r := rpcnet.Roles{Admin: rpcnet.PeerPattern(test.pattern)}
		if err := extend.Allow(r, p, role.Admin); (err == nil) != test.fits {
			t.Errorf("%q and %q: %v", test.pattern, test.name, err)
		}
	}
}

// FuzzPattern compares the matching with one that tries everything.
func FuzzPattern(f *testing.F) {
	f.Add("a**b*c", "a/x/b/yc")
	f.Add("**/*", "a/b")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 12 || len(s) > 24 {
			return
		}
		if got, want := rpcnet.MatchText(pattern, s, '/'), slowMatch(pattern, s); got != want {
			t.Errorf("%q and %q: %v, want %v", pattern, s, got, want)
		}
	})
}

func slowMatch(pattern, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case strings.HasPrefix(pattern, "**"):
		return slowMatch(pattern[2:], s) || s != "" && slowMatch(pattern, s[1:])
	case pattern[0] == '*':
		return slowMatch(pattern[1:], s) || s != "" && s[0] != '/' && slowMatch(pattern, s[1:])
	}
	return s != "" && s[0] == pattern[0] && slowMatch(pattern[1:], s[1:])
}

func TestACallOfAProcedureWithARole(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	var l testkit.Log
	ep, err := rpcnet.Listen("127.0.0.1:0", newParty(t, ca, credentials.Leaf{}).creds, &rpcnet.EndpointConfig{Logger: l.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	yes := func(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error { return s.Send([]byte("yes")) }
	system := extend.Procedure{Spec: &rpcnet.Spec{Procedure: "system"}, Role: role.Admin, Handler: yes}
	if _, err := extend.Endpoint(ep, extend.Extension{Procedures: []extend.Procedure{system}}); err != nil {
		t.Fatal(err)
	}
	srv := echoServer(nil)
	serving(ep, srv)
	for _, test := range []struct {
		leaf credentials.Leaf
		code rpcnet.Code
	}{
		{credentials.Leaf{Hosts: []string{"spiffe://d/rpcnet/admin/ada"}, Usages: clientUsage}, 0},
		{credentials.Leaf{Hosts: []string{"client"}, Usages: clientUsage}, rpcnet.CodePermissionDenied},
		{credentials.Leaf{Hosts: []string{"spiffe://d/rpcnet/worker/w"}}, rpcnet.CodePermissionDenied},
	} {
		conn, err := rpcnet.Dial(within(t), ep.Addr().String(), newParty(t, ca, test.leaf).creds, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = rpcnet.CallRaw(within(t), conn, "system", nil)
		wantCode(t, err, test.code)
		mustEcho(t, conn, []byte("a client may still call")) // the rest goes on
		conn.Close()
	}
	if s := l.String(); !strings.Contains(s, "refused a call") || !strings.Contains(s, `of \"client\"`) {
		t.Errorf("the log does not tell who was refused:\n%s", s)
	}
}

// A program restricts a procedure of its own with an interceptor that asks a rule.
func TestAnInterceptorAsksARule(t *testing.T) {
	t.Parallel()
	rule := rpcnet.PeerPattern("spiffe://d/rpcnet/admin/*")
	restricted := func(next rpcnet.ServerFunc) rpcnet.ServerFunc {
		return func(ctx context.Context, spec *rpcnet.Spec, s rpcnet.ServerStream) error {
			if err := rule.Allow(rpcnet.ServerCallFrom(ctx).Peer()); err != nil {
				return rpcnet.NewError(rpcnet.CodePermissionDenied, err.Error())
			}
			return next(ctx, spec, s)
		}
	}
	ep := rpctest.Serve(t, echoServer(&rpcnet.ServerConfig{Interceptors: []func(rpcnet.ServerFunc) rpcnet.ServerFunc{restricted}}), nil)
	for id, code := range map[string]rpcnet.Code{"spiffe://d/rpcnet/admin/ada": 0, "spiffe://d/rpcnet/client/bob": rpcnet.CodePermissionDenied} {
		conn, err := rpcnet.Dial(within(t), ep.Addr().String(), rpctest.Credentials(t, id), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, err = rpcnet.CallRaw(within(t), conn, "echo", nil)
		wantCode(t, err, code)
	}
}

func TestAProtocolWithARole(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	ep, err := rpcnet.Listen("127.0.0.1:0", newParty(t, ca, credentials.Leaf{}).creds, &rpcnet.EndpointConfig{Logger: rpctest.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	served := make(chan string, 2)
	_, err = extend.Endpoint(ep, extend.Extension{
		Protocols: map[string]extend.Protocol{"gossip/1": {Role: role.Node, Run: func(c net.Conn, p rpcnet.Peer) { served <- p.ID; c.Close() }}},
	})
	if err != nil {
		t.Fatal(err)
	}
	dial := func(leaf credentials.Leaf) {
		other, err := rpcnet.Listen("127.0.0.1:0", newParty(t, ca, leaf).creds, &rpcnet.EndpointConfig{Logger: rpctest.Logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		c, _, err := extend.Dial(within(t), other, ep.Addr().String(), "gossip/1", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Read(make([]byte, 1)) // until the other side closes
	}
	dial(credentials.Leaf{Hosts: []string{"client"}, Usages: clientUsage})
	dial(credentials.Leaf{Hosts: []string{"node"}})
	if id := <-served; id != "node" {
		t.Errorf("%q was served", id)
	}
}

func rolesRefuseStrangers(t *testing.T) {
	ep := rpctest.Listen(t, &rpcnet.EndpointConfig{Roles: rpcnet.Roles{
		Client: rpcnet.PeerPattern("friend"), Node: rpcnet.PeerPattern(), Admin: rpcnet.PeerPattern(),
	}})
	if _, err := rpcnet.Dial(within(t), ep.Addr().String(), rpctest.Credentials(t), nil); err == nil || !strings.Contains(err.Error(), "allowed is friend") {
		t.Error(err)
	}
	conn, err := rpcnet.Dial(within(t), ep.Addr().String(), rpctest.Credentials(t, "friend"), nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func dialVerifiesItsPeer(t *testing.T) {
	ep := rpctest.Serve(t, echoServer(nil), nil)
	addr := ep.Addr().String()
	var seen rpcnet.Peer
	conn := rpctest.Dial(t, addr, &rpcnet.DialConfig{VerifyPeer: func(p rpcnet.Peer) error { seen = p; return nil }})
	mustEcho(t, conn, []byte("x"))
	if seen.ID != "localhost" || seen.Addr.String() != addr {
		t.Errorf("asked about %+v", seen)
	}
	no := &rpcnet.DialConfig{VerifyPeer: func(rpcnet.Peer) error { return errors.New("not this one") }}
	_, err := rpcnet.Dial(within(t), addr, rpctest.Credentials(t), no)
	wantCode(t, err, rpcnet.CodeUnavailable)
	if err == nil || !strings.Contains(err.Error(), "not this one") {
		t.Error(err)
	}
	if _, _, err := extend.Dial(within(t), ep, addr, "rpcnet/1", no); err == nil || !strings.Contains(err.Error(), "not this one") {
		t.Error(err)
	}
}

func sessionKnowsWhomItIsFor(t *testing.T) {
	self := rpcnet.Target{Cluster: "blue", Node: "w1", Boot: "b7"}
	ep := rpctest.Listen(t, nil)
	if _, err := extend.Endpoint(ep, extend.Extension{Identity: wire.Identity{Cluster: strings.Repeat("x", 129)}}); err == nil {
		t.Error("a name of 129 bytes was taken")
	}
	if _, err := extend.Endpoint(ep, extend.Extension{Identity: wire.Identity(self)}); err != nil {
		t.Fatal(err)
	}
	if _, err := extend.Endpoint(ep, extend.Extension{Identity: wire.Identity(self)}); err == nil {
		t.Error("an endpoint has two identities")
	}
	serving(ep, echoServer(nil))
	nobody := rpctest.Serve(t, echoServer(nil), nil)
	for _, test := range []struct {
		ep     *rpcnet.Endpoint
		want   rpcnet.Target
		reason string // "" if welcome
	}{
		{ep, rpcnet.Target{}, ""},
		{ep, self, ""},
		{ep, rpcnet.Target{Cluster: "blue"}, ""},
		{ep, rpcnet.Target{Node: "w1"}, ""},
		{ep, rpcnet.Target{Cluster: "green", Node: "w1"}, `want node "w1", cluster "green"`},
		{ep, rpcnet.Target{Node: "w1", Boot: "b6"}, `node "w1", boot b7, cluster "blue" answers`},
		{nobody, rpcnet.Target{Cluster: "blue"}, "no node of a cluster answers"},
	} {
		conn, err := rpcnet.Dial(within(t), test.ep.Addr().String(), rpctest.Credentials(t), &rpcnet.DialConfig{Target: test.want})
		if test.reason == "" {
			if err != nil {
				t.Errorf("%v: %v", test.want, err)
				continue
			}
			mustEcho(t, conn, []byte("x"))
			conn.Close()
			continue
		}
		wantCode(t, err, rpcnet.CodeUnavailable)
		if err == nil || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%v: %v, want %q", test.want, err, test.reason)
		}
	}
	if _, err := rpcnet.Dial(within(t), ep.Addr().String(), rpctest.Credentials(t),
		&rpcnet.DialConfig{Target: rpcnet.Target{Node: strings.Repeat("x", 129)}}); err == nil || !strings.Contains(err.Error(), "at most 128") {
		t.Error(err)
	}
}

// The node judges for itself: a caller that would take whoever answers is
// refused by it as well, with the reason.
func TestANodeRefusesASessionForAnother(t *testing.T) {
	t.Parallel()
	p := newParty(t, testkit.NewCA(t), credentials.Leaf{})
	ep, err := rpcnet.Listen("127.0.0.1:0", p.creds, &rpcnet.EndpointConfig{Logger: rpctest.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	if _, err := extend.Endpoint(ep, extend.Extension{Identity: wire.Identity{Cluster: "blue", Node: "w1", Boot: "b7"}}); err != nil {
		t.Fatal(err)
	}
	conn, err := tlsconn.Dial(within(t), ep.Addr().String(), p.source, credentials.Want{Names: []string{"127.0.0.1"}}, []string{"rpcnet/1"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	mine := wire.Settings{Version: wire.Version, Identity: wire.Identity{Cluster: "green"}}
	payload := mine.Append(nil)
	if _, err := conn.Write(append(wire.MakeHeader(wire.TypeSettings, 0, 0, len(payload)).Append(nil), payload...)); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(conn)
	const want = `this is node "w1", boot b7, cluster "blue", the caller wants cluster "green"`
	if !strings.Contains(string(got), want) {
		t.Errorf("the node says %q, want it to contain %q", got, want)
	}
}

// An operator sees the calls of extensions, and can refuse them.
func controlCallsAreSeen(t *testing.T) {
	var seen atomic.Value
	ep := rpctest.Listen(t, &rpcnet.EndpointConfig{ControlInterceptors: []func(rpcnet.ServerFunc) rpcnet.ServerFunc{func(next rpcnet.ServerFunc) rpcnet.ServerFunc {
		return func(ctx context.Context, spec *rpcnet.Spec, s rpcnet.ServerStream) error {
			seen.Store(rpcnet.ServerCallFrom(ctx).Peer().ID + " " + spec.Procedure)
			if spec.Procedure == "private" {
				return rpcnet.NewError(rpcnet.CodePermissionDenied, "not by the operator's rule")
			}
			return next(ctx, spec, s)
		}
	}}})
	yes := func(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error { return s.Send([]byte("yes")) }
	if _, err := extend.Endpoint(ep, extend.Extension{Procedures: []extend.Procedure{
		{Spec: &rpcnet.Spec{Procedure: "open"}, Handler: yes}, {Spec: &rpcnet.Spec{Procedure: "private"}, Handler: yes},
	}}); err != nil {
		t.Fatal(err)
	}
	serving(ep, echoServer(nil))
	conn := rpctest.Dial(t, ep.Addr().String(), nil)
	if out, err := rpcnet.CallRaw(within(t), conn, "open", nil); err != nil || string(out) != "yes" || seen.Load() != "localhost open" {
		t.Errorf("%q, %v, seen %v", out, err, seen.Load())
	}
	_, err := rpcnet.CallRaw(within(t), conn, "private", nil)
	wantCode(t, err, rpcnet.CodePermissionDenied)
	mustEcho(t, conn, []byte("a server's own procedures"))
	if seen.Load() != "localhost private" {
		t.Errorf("the call of a server's procedure was seen: %v", seen.Load())
	}
}
