package bridge

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/rpcnet-go/rpcnet"
)

// A guard decides which requests are looked at.
type guard struct {
	cfg      *Config
	endpoint func() *rpcnet.Endpoint // nil if there is none
}

// pass refuses requests that a page of a foreign site could have
// sent, by any method and for any path, and answers the preflight
// requests of pages that are allowed. It returns false if the
// request has its answer.
func (g *guard) pass(w *reply, r *http.Request) bool {
	if !g.knownHost(r) {
		w.refuse(http.StatusForbidden)
		return false
	}
	// Browsers send Origin with every request that is not a plain
	// GET, and Sec-Fetch-Site with all of them. Other programs
	// send neither, and no page can leave them out.
	origins := r.Header.Values("Origin")
	site := r.Header.Get("Sec-Fetch-Site")
	switch {
	case len(origins) == 0 && site != "cross-site":
		return true
	case len(origins) != 1:
		w.refuse(http.StatusForbidden)
		return false
	}
	origin := strings.ToLower(origins[0])
	h := w.Header()
	h.Add("Vary", "Origin")
	// The response depends on the origin: caches must not give it
	// to another page.
	if origin == ownOrigin(r) && site != "cross-site" {
		return true
	}
	if !slices.Contains(g.cfg.CORS, origin) {
		w.refuse(http.StatusForbidden)
		return false
	}
	h.Set("Access-Control-Allow-Origin", origins[0])
	// A page may read the answer from here on.
	if r.Method != http.MethodOptions {
		h.Set("Access-Control-Expose-Headers", "Retry-After")
		return true
	}
	// Tokens are no credentials in the sense of CORS: the page
	// sends them itself.
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, Connect-Protocol-Version, Connect-Timeout-Ms, Last-Event-ID")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return false
}

// ownOrigin is the origin of a page that the bridge itself could
// have served.
func ownOrigin(r *http.Request) string {
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	return scheme + strings.ToLower(r.Host)
}

// knownHost reports whether a request is for this server under a
// name of its own.
func (g *guard) knownHost(r *http.Request) bool {
	// The port is not compared: it does not tell one site from
	// another, and proxies change it.
	host := strings.ToLower(r.Host)
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "localhost" || slices.Contains(g.cfg.Hosts, host) {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		// Who is asked for by the address that the connection has
		// was not found by a name.
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ip.IsLoopback() || ok && local.AddrPort().Addr().Unmap() == ip.Unmap() {
			return true
		}
	}
	// All names of the certificate are ours, also those with a
	// star.
	ep := g.endpoint()
	return host != "" && ep != nil && ep.Self().Chain[0].VerifyHostname(host) == nil
}
