package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/certs"
)

// A question is asked with curl. Who may not ask it gets an answer without a text.
type question struct {
	name string
	path string   // "/greeting.v1.Greeting/" before it if it does not begin with a slash
	args []string // of curl
	want string   // the body, a space and the status
}

// tooLarge is the file of a body that is too large, in the site's folder.
const tooLarge = "large.json"

var questions = []question{
	{"unary", "Hello", []string{"-d", `{"name":"Ada"}`}, `{"text":"Hello, Ada!"} 200`},
	{"get", "Hello", []string{"-G", "-d", "encoding=json", "--data-urlencode", `message={"name":"Ada"}`}, `{"text":"Hello, Ada!"} 200`},
	{"get of a method with side effects", "Count", []string{"-G", "-d", "encoding=json", "--data-urlencode", `message={}`},
		"use POST 405"},
	{"bad JSON", "Hello", []string{"-d", `{"name":`}, "invalid_argument 400"},
	{"unknown field", "Hello", []string{"-d", `{"nome":"Ada"}`}, "invalid_argument 400"},
	{"error of the service", "Hello", []string{"-d", `{}`}, `"no name: say who you are" 500`},
	{"unknown method", "Hallo", []string{"-d", `{}`}, "unimplemented 404"},
	{"service that is not allowed", "/cluster.v1.Admin/Members", []string{"-d", `{}`}, "unimplemented 404"},
	{"too large", "Hello", []string{"-d", "@" + tooLarge}, "resource_exhausted 413"},
	{"time-out", "Hello", []string{"-H", "Connect-Timeout-Ms: 50", "-d", `{"name":"slow"}`}, "deadline_exceeded 504"},
	{"bad time-out", "Hello", []string{"-H", "Connect-Timeout-Ms: soon", "-d", `{"name":"Ada"}`}, "invalid_argument 400"},
	{"lines of JSON", "Count", []string{"-d", `{"name":"Ada","times":2}`}, `{"text":"1: hello, Ada"}` + "\n" + `{"text":"2: hello, Ada"} 200`},
	{"server-sent events", "Count", []string{"-H", "Accept: text/event-stream", "-d", `{"name":"Ada","times":2}`},
		`data: {"text":"1: hello, Ada"}` + "\n\n" + `data: {"text":"2: hello, Ada"}` + "\n\nevent: end\ndata: {} 200"},
	{"openapi", "/openapi.json", []string{"-G"}, `"openapi":"3.1.0" 200`},
}

// TestCurl asks every question by each protocol of HTTP, as each kind of caller.
func TestCurl(t *testing.T) {
	t.Parallel()
	curl := program(t, "curl")
	s := newSite(t)
	body := fmt.Sprintf(`{"name":%q}`, strings.Repeat("x", siteBody))
	if err := os.WriteFile(filepath.Join(s.dir, tooLarge), []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	cert, key := certs.Files("client")
	callers := map[string][]string{
		"certificate": {"--cert", cert, "--key", key},
		"token":       {"-H", "Authorization: Bearer " + siteToken},
		"wrong token": {"-H", "Authorization: Bearer wrong"},
		"nameless":    nil,
	}
	for caller, as := range callers {
		for _, version := range []string{"--http1.1", "--http2", "--no-alpn"} {
			t.Run(caller+" "+version, func(t *testing.T) {
				t.Parallel()
				ask := func(path string, args ...string) string {
					all := append([]string{"-sS", version, "--cacert", certs.CA, "-w", " %{http_code}", s.url + path}, as...)
					return run(t, s.dir, curl, append(all, args...)...)
				}
				for _, path := range []string{"/livez", "/readyz"} {
					if got := ask(path); got != "ok\n 200" {
						t.Errorf("%s: %q, want ok", path, got)
					}
				}
				for _, q := range questions {
					path := q.path
					if !strings.HasPrefix(path, "/") {
						path = "/greeting.v1.Greeting/" + path
					}
					got := ask(path, append([]string{"-H", "Content-Type: application/json"}, q.args...)...)
					if known := caller == "certificate" || caller == "token"; !known {
						if got != " 401" {
							t.Errorf("%s: %q, want 401 without a text", q.name, got)
						}
						continue
					}
					text, status, _ := cutLast(q.want, " ")
					body, gotStatus, _ := cutLast(got, " ")
					if gotStatus != status || !strings.Contains(body, text) {
						t.Errorf("%s: %q, want %q", q.name, got, q.want)
					}
				}
			})
		}
	}
}

// cutLast cuts s at the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
