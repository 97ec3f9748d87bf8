package bridge_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/bridge"
)

// Every path that somebody might try, without a name: nothing but health answers, and
// nothing says a word.
func TestAttackHTTPAnonymousSweep(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	paths := []string{
		"/", "/test.v1.Test/Echo", "/test.v1.Test/Nothing", "/cluster.v1.Secret/Echo", "/cluster.v1.Admin/Members", "/rpcnet.v1.Describe",
		"/openapi.json", "/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile", "/debug/vars", "/grpc.health.v1.Health/Check",
		"/_/", "/v1/models", "/favicon.ico", "/robots.txt", "/.well-known/security.txt", "/livez/", "//livez", "/livez%2f", "/../livez", "/readyz/x", "/%00",
		"/test.v1.Test/Read?encoding=json&message=%7B%7D", "/test.v1.Test/Read?token=" + callToken, "/?access_token=" + callToken,
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"} {
		for _, path := range paths {
			for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Basic " + callToken, callToken, "Bearer " + callToken + "x", "Bearer " + strings.Repeat("x", 5000)} {
				q := request{method: method, path: path, body: "{}", header: http.Header{"Content-Type": {"application/json"}}}
				if authorization != "" {
					q = q.with("Authorization", authorization)
				}
				if authorization != "" && path != paths[1] { // the matrix of both is large
					continue
				}
				if status, body := s.ask(s.client(false, true), q); status != 401 && status != 403 && status != 404 || body != "" {
					t.Errorf("%s %s with %.20q: %d %q", method, path, authorization, status, body)
				}
			}
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/healthz", "/readyz?verbose"} {
		if status, body := s.ask(s.client(false, false), request{method: "GET", path: path}); status != 200 || body != "ok" {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
}

// What each role may do.
func TestRolesOfTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	client := s.client(false, true)
	for path, want := range map[string]map[string]int{
		"/openapi.json":                {callToken: 200, viewToken: 200, adminToken: 200},
		"/metrics":                     {callToken: 403, viewToken: 200, adminToken: 200},
		"/debug/pprof/":                {callToken: 403, viewToken: 403, adminToken: 200},
		"/debug/pprof/heap":            {callToken: 403, viewToken: 403, adminToken: 200},
		"/debug/pprof/nothing":         {callToken: 403, viewToken: 403, adminToken: 404},
		"/test.v1.Test/Echo":           {callToken: 200, viewToken: 403, adminToken: 200},
		"/grpc.health.v1.Health/Check": {callToken: 200, viewToken: 200, adminToken: 200},
	} {
		for token, status := range want {
			q := request{"GET", path, "", nil, token, ""}
			if strings.Count(path, ".v1.") > 0 {
				q = request{"POST", path, "{}", http.Header{"Content-Type": {"application/json"}}, token, ""}
			}
			if got, body := s.ask(client, q); got != status {
				t.Errorf("%s with %s: %d %.200s, want %d", path, token, got, body, status)
			}
		}
	}
	health := request{"POST", "/grpc.health.v1.Health/Check", `{"service":"test.v1.Test"}`, nil, viewToken, ""}
	if status, body := s.ask(client, health); status != 200 || body != `{"status":"SERVING"}` {
		t.Errorf("health of a service: %d %s", status, body)
	}
	health.body = `{"service":"cluster.v1.Secret"}`
	if status, _ := s.ask(client, health); status != 404 {
		t.Errorf("health of a service that is not allowed: %d, want 404", status)
	}
}

// Pages of foreign sites and foreign names are refused for every method, before
// anything else is looked at; pages that are allowed get what they need.
func TestAttackHTTPForeignPages(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *bridge.Config) { c.CORS, c.Hosts = []string{"https://app.example"}, []string{"api.example"} })
	client := s.client(true, false) // a certificate is what a browser sends by itself
	const forbidden = http.StatusForbidden
	for _, c := range []struct {
		name   string
		edit   func(*request)
		status int
	}{
		{"nothing", func(*request) {}, 200},
		{"own origin", func(q *request) { *q = q.with("Origin", s.base) }, 200},
		{"foreign origin", func(q *request) { *q = q.with("Origin", "https://evil.example") }, forbidden},
		{"origin null", func(q *request) { *q = q.with("Origin", "null") }, forbidden},
		{"origin with another scheme", func(q *request) { *q = q.with("Origin", "http://"+s.ep.Addr().String()) }, forbidden},
		{"cross-site", func(q *request) { *q = q.with("Sec-Fetch-Site", "cross-site") }, forbidden},
		{"cross-site with our origin", func(q *request) { *q = q.with("Sec-Fetch-Site", "cross-site").with("Origin", s.base) }, forbidden},
		{"same-origin", func(q *request) { *q = q.with("Sec-Fetch-Site", "same-origin") }, 200},
		{"allowed origin", func(q *request) { *q = q.with("Sec-Fetch-Site", "cross-site").with("Origin", "https://app.example") }, 200},
		{"two origins", func(q *request) {
			q.header = http.Header{"Origin": {s.base, "https://app.example"}, "Content-Type": {"application/json"}}
		}, forbidden},
		{"foreign host", func(q *request) { q.host = "evil.example" }, forbidden},
		{"foreign address", func(q *request) { q.host = "10.9.8.7:80" }, forbidden},
		{"name of the certificate", func(q *request) { q.host = "node.example:61000" }, 200},
		{"configured host", func(q *request) { q.host = "API.example" }, 200},
		{"localhost", func(q *request) { q.host = "localhost:8080" }, 200},
		{"IPv6 loopback", func(q *request) { q.host = "[::1]:8080" }, 200},
	} {
		q := post("Echo", `{}`)
		q.token = ""
		c.edit(&q)
		if status, _ := s.ask(client, q); status != c.status {
			t.Errorf("%s: %d, want %d", c.name, status, c.status)
		}
		if c.status != forbidden {
			continue
		}
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"} {
			for _, path := range []string{q.path, "/livez", "/readyz", "/metrics"} {
				q.method, q.path = method, path
				if status, body := s.ask(client, q); status != forbidden || body != "" {
					t.Errorf("%s: %s %s: %d %q, want 403", c.name, method, path, status, body)
				}
			}
		}
	}
	// Preflight, which has no token.
	res := s.do(client, request{"OPTIONS", "/test.v1.Test/Echo", "", http.Header{"Origin": {"https://app.example"}, "Access-Control-Request-Method": {"POST"}}, "", ""})
	if h := res.Header; res.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != "https://app.example" || h.Get("Vary") != "Origin" || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %d, %v", res.StatusCode, h)
	}
}

// The tokens are read again when their file changes; a file that does not load changes
// nothing, and its error shows no secret.
func TestTokensAreReadAgain(t *testing.T) {
	t.Parallel()
	path := ""
	s := newSite(t, func(c *bridge.Config) { path = c.Tokens })
	client := s.client(false, true)
	status := func(token string) int {
		got, _ := s.ask(client, request{"GET", "/openapi.json", "", nil, token, ""})
		return got
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}
	writeTokens(t, path, map[string]string{"a-new-token": "call"})
	until("a new token is never taken", func() bool { return status("a-new-token") == 200 })
	if got := status(callToken); got != 401 {
		t.Errorf("a token that was taken away: %d, want 401", got)
	}
	if err := os.WriteFile(path, []byte("my-secret-token-in-clear call webshop\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	until("a bad file is not logged", func() bool {
		status("x")
		return s.log.Count("the file of tokens does not load") > 0
	})
	if got := status("a-new-token"); got != 200 {
		t.Errorf("after a bad file: %d, want 200", got)
	}
	if s.log.Count("my-secret-token") > 0 {
		t.Error("the log shows a token")
	}
}

// A configuration that cannot be meant is an error, which says what would be right.
func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	conn := rpcnet.InProcess(newServer(t))
	defer conn.Close()
	for want, cfg := range map[string]*bridge.Config{
		"Config.Services": {Services: []string{"a*b"}},
		"Config.CORS":     {CORS: []string{"*"}},
		"an origin":       {CORS: []string{"https://app.example/"}},
		"Config.Hosts":    {Hosts: []string{"*"}},
		"Config.Tokens":   {Tokens: "no such file"},
	} {
		if _, err := bridge.New(conn, cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
	if _, err := bridge.New(nil, nil); err == nil {
		t.Error("a bridge without a transport is made")
	}
}

// Without a configuration, and on a server of the program that knows no certificates,
// nobody calls anything.
func TestNothingIsOpenByDefault(t *testing.T) {
	t.Parallel()
	conn := rpcnet.InProcess(newServer(t))
	defer conn.Close()
	b, err := bridge.New(conn, nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewTLSServer(b)
	defer srv.Close()
	for _, path := range []string{"/test.v1.Test/Echo", "/openapi.json", "/metrics"} {
		res, err := srv.Client().Post(srv.URL+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 401 || len(body) > 0 {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
}

// Of the services, a star has all but those of the cluster.
func TestServicesAreAnAllowList(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		services []string
		test     int
		cluster  int
	}{
		{nil, 404, 404},
		{[]string{"other.v1.*"}, 404, 404},
		{[]string{"test.v1.Tes"}, 404, 404},
		{[]string{"test.v1.*"}, 200, 404},
		{[]string{"test.v1.Test"}, 200, 404},
		{[]string{"cluster.*", "cluster.v1.*"}, 404, 404},
		{[]string{"cluster.v1.Secret"}, 404, 200},
	} {
		s := newSite(t, func(cfg *bridge.Config) { cfg.Services = c.services })
		client := s.client(false, true)
		q := post("Echo", `{}`)
		if status, _ := s.ask(client, q); status != c.test {
			t.Errorf("%q: test.v1.Test is %d, want %d", c.services, status, c.test)
		}
		q.path = "/cluster.v1.Secret/Echo"
		if status, _ := s.ask(client, q); status != c.cluster {
			t.Errorf("%q: cluster.v1.Secret is %d, want %d", c.services, status, c.cluster)
		}
	}
}
