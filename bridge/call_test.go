package bridge_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/bridge"
)

// Every way to make a unary call, right and wrong, in both versions of HTTP, with a
// certificate and with a token.
func TestUnaryCalls(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *bridge.Config) { c.MaxBody = 1000 })
	get := func(query string) request {
		return request{"GET", "/test.v1.Test/Read?" + query, "", nil, callToken, ""}
	}
	for _, c := range []struct {
		name   string
		q      request
		status int
		want   string // the whole body, or a part of it after "~"
	}{
		{"echo", post("Echo", `{"text":"Ada"}`), 200, `{"text":"Ada"}`},
		{"an empty body", post("Echo", ``), 200, `{}`},
		{"a parameter of the type", post("Echo", `{"text":"Ada"}`).with("Content-Type", "application/json; charset=utf-8"), 200, `{"text":"Ada"}`},
		{"Connect's version", post("Echo", `{"text":"Ada"}`).with("Connect-Protocol-Version", "1"), 200, `{"text":"Ada"}`},
		{"GET", get("encoding=json&connect=v1&message=" + url.QueryEscape(`{"text":"Ada"}`)), 200, `{"text":"Ada"}`},
		{"GET without a message", get("encoding=json"), 200, `{}`},
		{"GET of another encoding", get("encoding=proto"), 415, `~"invalid_argument"`},
		{"GET of base64", get("encoding=json&base64=1&message=e30"), 415, `~"unimplemented"`},
		{"GET of a method with side effects", request{"GET", "/test.v1.Test/Echo?encoding=json", "", nil, callToken, ""}, 405, `~"unimplemented"`},
		{"DELETE", request{"DELETE", "/test.v1.Test/Echo", "", nil, callToken, ""}, 405, `~"unimplemented"`},
		{"no JSON", post("Echo", `{"text":`), 400, `~"invalid_argument"`},
		{"a wrong field", post("Echo", `{"txet":"Ada"}`), 400, `~no field \"txet\"; it has text`},
		{"another type", post("Echo", `<a/>`).with("Content-Type", "text/plain"), 415, `~want application/json`},
		{"a compressed body", post("Echo", `{}`).with("Content-Encoding", "gzip"), 415, `~"unimplemented"`},
		{"too large", post("Echo", `{"text":"`+strings.Repeat("x", 1000)+`"}`), 413, `~bridge.Config.MaxBody`},
		{"an unknown method", post("Nothing", `{}`), 404, `~/openapi.json lists them`},
		{"an unknown service", request{"POST", "/other.v1.Other/Do", "{}", nil, callToken, ""}, 404, `~"unimplemented"`},
		{"a service of the cluster", request{"POST", "/cluster.v1.Secret/Echo", "{}", nil, callToken, ""}, 404, `~"unimplemented"`},
		{"an odd path", request{"POST", "/test.v1.Test/Echo/more", "{}", nil, callToken, ""}, 404, `~"unimplemented"`},
		{"an escaped path", request{"POST", "/test.v1.Test%2FEcho", "{}", http.Header{"Content-Type": {"application/json"}}, callToken, ""}, 404, `~"unimplemented"`},
		{"a timeout", post("Wait", `{}`).with("Connect-Timeout-Ms", "50"), 504, `~"deadline_exceeded"`},
		{"a wrong timeout", post("Wait", `{}`).with("Connect-Timeout-Ms", "1s"), 400, `~Connect-Timeout-Ms`},
		{"a long timeout", post("Wait", `{}`).with("Connect-Timeout-Ms", "12345678901"), 400, `~at most 10 digits`},
		{"a typed error", post("Fail", `{}`), 404, `~"details":[{"type":"TestError","value":"oWRub3RloWR0ZXh0ZG9vcHM","debug":{"note":{"text":"oops"}}}]`},
	} {
		for _, h2 := range []bool{false, true} {
			for _, certificate := range []bool{false, true} {
				q := c.q
				if certificate {
					q.token = ""
				}
				status, body := s.ask(s.client(certificate, h2), q)
				part, isPart := strings.CutPrefix(c.want, "~")
				if status != c.status || isPart && !strings.Contains(body, part) || !isPart && body != c.want {
					t.Errorf("%s (h2 %v, certificate %v): %d %s, want %d %s", c.name, h2, certificate, status, body, c.status, c.want)
				}
			}
		}
	}
}

// Each code of an error has a name and a status.
func TestStatusesAreThoseOfConnect(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	client := s.client(false, true)
	for code, want := range map[rpcnet.Code]string{
		rpcnet.CodeCanceled: "499 canceled", rpcnet.CodeUnknown: "500 unknown", rpcnet.CodeInvalidArgument: "400 invalid_argument",
		rpcnet.CodeDeadlineExceeded: "504 deadline_exceeded", rpcnet.CodeNotFound: "404 not_found", rpcnet.CodeAlreadyExists: "409 already_exists",
		rpcnet.CodePermissionDenied: "403 permission_denied", rpcnet.CodeResourceExhausted: "429 resource_exhausted",
		rpcnet.CodeFailedPrecondition: "400 failed_precondition", rpcnet.CodeAborted: "409 aborted", rpcnet.CodeOutOfRange: "400 out_of_range",
		rpcnet.CodeUnimplemented: "501 unimplemented", rpcnet.CodeInternal: "500 internal", rpcnet.CodeUnavailable: "503 unavailable",
		rpcnet.CodeDataLoss: "500 data_loss", rpcnet.CodeUnauthenticated: "401 unauthenticated",
	} {
		q := post("Fail", fmt.Sprintf(`{"text":%q}`, code))
		if after := s.do(client, q).Header.Get("Retry-After"); after != "2" {
			t.Errorf("%v: Retry-After is %q, want 2", code, after)
		}
		status, body := s.ask(client, q)
		var f struct{ Code, Message string }
		if err := json.Unmarshal([]byte(body), &f); err != nil {
			t.Errorf("%v: %s: %v", code, body, err)
		}
		if got := fmt.Sprint(status, " ", f.Code); got != want || f.Message != "as you wish" || strings.Contains(body, "details") {
			t.Errorf("%v: %s %q, want %s", code, got, f.Message, want)
		}
	}
}

// The responses say how they may be used.
func TestResponsesAreNeitherKeptNorGuessed(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	res := s.do(s.client(false, true), post("Echo", `{"text":"<script>"}`))
	for key, want := range map[string]string{
		"Content-Type": "application/json", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Access-Control-Allow-Origin": "",
	} {
		if got := res.Header.Get(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

// Integers of 64 bits are strings if the configuration says so.
func TestInt64Strings(t *testing.T) {
	t.Parallel()
	for strings, want := range map[bool]string{true: `{"seq":"9007199254740993","text":"a"}`, false: `{"seq":9007199254740993,"text":"a"}`} {
		s := newSite(t, func(c *bridge.Config) { c.Int64Strings = strings })
		if status, body := s.ask(s.client(false, true), post("Sum", `{"seq":9007199254740992,"text":"a"}{"seq":"1"}`)); status != 200 || body != want {
			t.Errorf("Int64Strings %v: %d %s, want %s", strings, status, body, want)
		}
	}
}

// OpenAPI describes what can be called and nothing else.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	status, body := s.ask(s.client(false, true), request{"GET", "/openapi.json", "", nil, viewToken, ""})
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]any
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal([]byte(body), &doc); status != 200 || err != nil {
		t.Fatalf("%d, %v", status, err)
	}
	if doc.OpenAPI != "3.1.0" || len(doc.Paths) != 8 || doc.Paths["/test.v1.Test/Echo"]["post"] == nil ||
		doc.Paths["/test.v1.Test/Echo"]["get"] != nil || doc.Paths["/test.v1.Test/Read"]["get"] == nil || doc.Components.Schemas["test.v1.Test.Word"] == nil {
		t.Errorf("the description is %.2000s", body)
	}
	// Every reference leads to a schema.
	for rest := body; ; {
		_, after, ok := strings.Cut(rest, `"$ref":"#/components/schemas/`)
		if !ok {
			break
		}
		name, _, _ := strings.Cut(after, `"`)
		if doc.Components.Schemas[name] == nil {
			t.Errorf("the reference to %s leads nowhere", name)
		}
		rest = after
	}
}
