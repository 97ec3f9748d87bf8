package program

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/rpcnet-go/rpcnet/internal/certs"
)

// Curl returns a command for a shell that streams tokens as server-sent events from a worker
// through the director at addr, with the client's certificate in certDir.
func Curl(certDir, addr string) string {
	cert, key := certs.Files("client")
	file := func(name string) string { return quote(filepath.Join(certDir, name)) }
	return fmt.Sprintf("curl -sSN --cacert %s --cert %s --key %s -H 'Content-Type: application/json' -H 'Accept: text/event-stream' "+
		`-d '{"prompt":"hello","max_tokens":30,"token_interval":"200ms"}' https://%s/inference.v1.Inference/Generate`,
		file(certs.CA), file(cert), file(key), addr)
}

// quote returns a word as a shell takes it.
func quote(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
