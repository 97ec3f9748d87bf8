package program

import (
	"strings"
	"testing"
)

func TestCurlQuotesForAShell(t *testing.T) {
	t.Parallel()
	if s := Curl("certs", "127.0.0.1:61000"); !strings.HasPrefix(s, "curl -sSN --cacert certs/ca.pem --cert certs/client_cert.pem ") || !strings.HasSuffix(s, " https://127.0.0.1:61000/inference.v1.Inference/Generate") {
		t.Errorf("%s", s)
	}
	if s := Curl("it's mine", "a:1"); !strings.Contains(s, ` --cacert 'it'\''s mine/ca.pem' `) {
		t.Errorf("%s", s)
	}
}
