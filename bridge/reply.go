package bridge

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

// A reply is the response to one request. It bounds how long the
// caller may take to read what is written: each write begins with
// a time-out of its own, so that a stream can last as long as it
// is read.
type reply struct {
	http.ResponseWriter
	rc      *http.ResponseController // finds what is below the wrappers of a program
	timeout time.Duration            // of one write
	refused bool                     // the body is perhaps not read: see settle
}

// newReply returns a reply over w.
func newReply(w http.ResponseWriter, timeout time.Duration) *reply {
	return &reply{ResponseWriter: w, rc: http.NewResponseController(w), timeout: timeout}
}

// Unwrap returns the writer below, for [http.ResponseController].
func (w *reply) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// extend gives the caller the time-out from now on, and d more,
// to read what is written next. A response writer without
// deadlines is one of a test.
func (w *reply) extend(d time.Duration) {
	w.rc.SetWriteDeadline(time.Now().Add(w.timeout + d))
}

// answer answers with JSON. The text is small enough for one
// write: it has passed the limit of a message.
func (w *reply) answer(text []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.extend(0)
	w.Write(text)
}

// fail answers with an error. A status of 0 is that of the
// error's code. s, if not nil, is the contract of the call, which
// knows its typed errors.
func (w *reply) fail(status int, err error, s *schema.Schema) {
	f, own := failureOf(err, s)
	if status == 0 {
		status = own
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if status == http.StatusUnauthorized {
		// The service has said so, and not the bridge. RFC 9110
		// wants the header in any case.
		h.Set("WWW-Authenticate", challenge)
	}
	if e, ok := errors.AsType[*rpcnet.Error](err); ok && e.RetryAfter() > 0 {
		// HTTP has whole seconds alone: too late is better than too early.
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter()+time.Second-1)/time.Second), 10))
	}
	w.extend(0)
	w.refuse(status)
	json.NewEncoder(w).Encode(f) // of strings: the only error is the caller's absence
}

// refuse begins a response of a request that is not served.
func (w *reply) refuse(status int) {
	w.refused = true
	w.WriteHeader(status)
}

const (
	// maxSettle is how much of the body of a refused request is
	// read, in bytes, and settleTimeout for how long.
	maxSettle     = 64 << 10
	settleTimeout = time.Second
)

// settle reads what is left of the short body of a refused
// request, and throws it away. net/http does so for HTTP/1 alone;
// in HTTP/2 it resets the stream, which some clients take for a
// failure: curl 7.88 then shows no status.
func (w *reply) settle(r *http.Request) {
	if !w.refused || r.ProtoMajor < 2 {
		return
	}
	w.rc.Flush() // a caller with a long body sees the response before the reset
	w.rc.SetReadDeadline(time.Now().Add(settleTimeout))
	io.CopyN(io.Discard, r.Body, maxSettle)
}

// challenge says how a caller proves who it is, if not by a
// certificate.
const challenge = `Bearer realm="rpcnet"`
