package e2e_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/certs"
)

// node returns the interpreter. The packages that node/package.json names must be
// installed: make e2e does it.
func node(t *testing.T) string {
	t.Helper()
	path := program(t, "node")
	if _, err := os.Stat("node/node_modules"); err != nil {
		if os.Getenv("E2E_REQUIRED") != "" {
			t.Fatal("there is no node/node_modules, and E2E_REQUIRED is set: run npm ci in e2e/node")
		}
		t.Skip("the packages of e2e/node are not installed: run npm ci there")
	}
	return path
}

// TestConnectForNode calls a unary procedure by POST and by GET with the client of
// Connect.
func TestConnectForNode(t *testing.T) {
	t.Parallel()
	path := node(t)
	s := newSite(t)
	for _, version := range []string{"1.1", "2"} {
		out := run(t, "node", path, "connect.mjs", s.url, s.dir, siteToken, version)
		answers := []string{
			"Hello, Ada!",
			`Unknown: no name: say who you are GreetingError {"no_name":{"hint":"say who you are"}}`,
			"DeadlineExceeded",
		}
		wantLines(t, strings.Split(strings.TrimSuffix(out, "\n"), "\n"), append(append(answers, answers...), "Unauthenticated: HTTP 401"))
	}
}

// TestOpenAPI has a validator read what the bridge says of its services.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	path := node(t)
	s := newSite(t)
	document := run(t, s.dir, program(t, "curl"), "-sS", "--cacert", certs.CA, "-H", "Authorization: Bearer "+siteToken, s.url+"/openapi.json")
	cmd := exec.CommandContext(t.Context(), path, "openapi.mjs")
	cmd.Dir = "node"
	cmd.Stdin = strings.NewReader(document)
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "OpenAPI 3.1 valid\n" {
		t.Errorf("%v\n%s\n%s", err, out, document)
	}
}
