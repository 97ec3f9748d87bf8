package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
)

// maxMessages is how many requests the body of one call can hold.
const maxMessages = 10_000

// A rejection is why a request is no call: an error with a status
// of its own.
type rejection struct {
	status int
	err    error
}

// reject returns a rejection.
func reject(status int, code rpcnet.Code, format string, args ...any) *rejection {
	return &rejection{status, rpcnet.Errorf(code, format, args...)}
}

// call serves a call of a method. Its context ends when the
// caller goes away, when the time is over that the caller gives,
// or with the connection.
func (b *Bridge) call(w *reply, r *http.Request, who caller) {
	// A method that is not allowed looks as one that is not
	// there.
	m, err := b.catalog.find(r.Context(), r.URL.EscapedPath())
	if err != nil {
		w.fail(0, err, nil)
		return
	}
	if m == nil {
		w.fail(http.StatusNotFound, rpcnet.Errorf(rpcnet.CodeUnimplemented, "there is no method %.200q that can be called: GET /openapi.json lists them", r.URL.EscapedPath()), nil)
		return
	}
	// From here on the caller can cost memory: release gives it
	// back when the call ends.
	body, release, rejected := b.request(w, r, m, who)
	defer release()
	if rejected != nil {
		if rejected.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", allowedMethods(m))
		}
		w.fail(rejected.status, rejected.err, nil)
		return
	}
	ctx, cancel, err := withTimeout(r)
	if err != nil {
		w.fail(0, err, nil)
		return
	}
	defer cancel()
	// The messages are JSON on this side: the specification
	// converts them.
	if m.spec.Shape == codegen.ShapeUnary {
		var out []byte
		err = b.client.Unary(ctx, m.spec, body, &out)
		b.respond(w, m, out, err)
		return
	}
	requests, err := split(body, m.spec.Shape)
	if err != nil {
		w.fail(0, err, nil)
		return
	}
	if m.spec.Shape.ServerStreams() {
		b.stream(ctx, w, r, m, requests)
		return
	}
	out, err := b.upload(ctx, m, requests)
	b.respond(w, m, out, err)
}

// allowedMethods are the methods of HTTP with which a method is
// called.
func allowedMethods(m *method) string {
	if m.spec.Idempotency == codegen.IdempotencyNoSideEffects {
		return "GET, POST"
	}
	return "POST"
}

// request returns the JSON of a request, the whole body of a POST
// or the message of a GET. release gives its memory back; it is
// never nil.
func (b *Bridge) request(w *reply, r *http.Request, m *method, who caller) (body []byte, release func(), rejected *rejection) {
	release = func() {}
	switch r.Method {
	case http.MethodGet:
		if allowedMethods(m) == "POST" {
			return nil, release, reject(http.StatusMethodNotAllowed, rpcnet.CodeUnimplemented, "the method may have side effects: use POST")
		}
		body, rejected = message(r)
		return body, release, rejected
	case http.MethodPost:
	default:
		return nil, release, reject(http.StatusMethodNotAllowed, rpcnet.CodeUnimplemented, "use %s", allowedMethods(m))
	}
	// A form of HTML can send text/plain from any site without
	// being asked: only JSON is taken, which needs the permission
	// of CORS.
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/json" && kind != "application/x-ndjson" {
		return nil, release, reject(http.StatusUnsupportedMediaType, rpcnet.CodeInvalidArgument, "Content-Type is %.80q: want application/json", kind)
	}
	// A small body could become a large one.
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, release, reject(http.StatusUnsupportedMediaType, rpcnet.CodeUnimplemented, "Content-Encoding is %.40q: want none", e)
	}
	size := r.ContentLength
	if size < 0 { // not known: it may take all there is
		size = b.cfg.MaxBody
	}
	if size > b.cfg.MaxBody {
		return nil, release, b.tooLarge()
	}
	// The memory is taken before the first byte is read.
	account := b.memory.Open(who.name)
	if err := account.Take(b.bodies, size); err != nil {
		account.Close()
		return nil, release, reject(0, rpcnet.CodeResourceExhausted, "%v", err)
	}
	release = func() {
		account.Give(b.bodies, size)
		account.Close()
	}
	body, err := b.read(w, r)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, release, b.tooLarge()
	case err != nil:
		return nil, release, reject(http.StatusBadRequest, rpcnet.CodeInvalidArgument, "the body did not come whole within %v", b.cfg.BodyTimeout)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}") // curl -X POST
	}
	return body, release, nil
}

// tooLarge rejects a body over the limit.
func (b *Bridge) tooLarge() *rejection {
	return reject(http.StatusRequestEntityTooLarge, rpcnet.CodeResourceExhausted, "the body is larger than %d bytes, which bridge.Config.MaxBody sets", b.cfg.MaxBody)
}

// read reads the body within its limits of size and time. After
// an error the time-out stays, because net/http reads what is
// left of a body before it answers.
func (b *Bridge) read(w *reply, r *http.Request) (body []byte, err error) {
	rc := w.rc
	rc.SetReadDeadline(time.Now().Add(b.cfg.BodyTimeout))
	in := http.MaxBytesReader(w, r.Body, b.cfg.MaxBody)
	if r.ContentLength < 0 {
		body, err = io.ReadAll(in)
	} else {
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(in, body)
	}
	if err == nil {
		err = rc.SetReadDeadline(time.Time{})
		if errors.Is(err, http.ErrNotSupported) { // by a response writer of a test
			err = nil
		}
	}
	return body, err
}

// message returns the request of a GET, as Connect has it:
// ?encoding=json&message={...}
func message(r *http.Request) ([]byte, *rejection) {
	q := r.URL.Query()
	switch {
	case q.Get("encoding") != "json":
		return nil, reject(http.StatusUnsupportedMediaType, rpcnet.CodeInvalidArgument, "encoding is %.40q: want ?encoding=json&message={...}", q.Get("encoding"))
	case q.Has("base64") && q.Get("base64") != "0", q.Has("compression") && q.Get("compression") != "identity":
		return nil, reject(http.StatusUnsupportedMediaType, rpcnet.CodeUnimplemented, "the message must be neither base64 nor compressed")
	}
	if text := q.Get("message"); text != "" {
		return []byte(text), nil
	}
	return []byte("{}"), nil
}

// withTimeout returns the context of a call, with the time that
// the caller gives it.
func withTimeout(r *http.Request) (context.Context, context.CancelFunc, error) {
	values := r.Header.Values("Connect-Timeout-Ms")
	if len(values) == 0 {
		return r.Context(), func() {}, nil // net/http ends it with the request
	}
	// Ten digits, says Connect.
	ms, err := strconv.ParseUint(values[0], 10, 64)
	if err != nil || len(values[0]) > 10 || len(values) > 1 {
		return nil, nil, invalid("Connect-Timeout-Ms is %.20q: want milliseconds, one number of at most 10 digits", values[0])
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(ms)*time.Millisecond)
	return ctx, cancel, nil
}

// split returns the requests in a body: JSON values, one after
// the other. A method that takes one request gets one.
func split(body []byte, shape codegen.Shape) (requests [][]byte, err error) {
	if !shape.ClientStreams() {
		return [][]byte{body}, nil
	}
	// Values can stand on lines of their own, or not: both are a
	// sequence of values.
	d := json.NewDecoder(bytes.NewReader(body))
	for {
		var text json.RawMessage
		switch err := d.Decode(&text); {
		case err == io.EOF:
			return requests, nil
		case err != nil:
			return nil, invalid("request %d of the body: %v", len(requests)+1, err)
		}
		if requests = append(requests, text); len(requests) > maxMessages {
			return nil, invalid("the body has more than %d requests", maxMessages)
		}
	}
}

// upload makes a call with many requests and one response. A
// server can answer before it has taken all requests; then the
// rest is not sent.
func (b *Bridge) upload(ctx context.Context, m *method, requests [][]byte) (out []byte, err error) {
	s, err := b.client.NewStream(ctx, m.spec)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	wait := sendAll(s, requests)
	defer wait()
	defer s.Close() // first, so that sendAll ends
	if err = s.Recv(&out); err == io.EOF {
		err = rpcnet.NewError(rpcnet.CodeInternal, "the call ended without a response")
	}
	if err != nil {
		s.Close()
		if own := wait(); own != nil {
			err = own
		}
		return nil, err
	}
	// The end of the call has its outcome.
	var extra []byte
	if err = s.Recv(&extra); err == io.EOF {
		return out, nil
	}
	return nil, err
}

// sendAll sends requests beside the responses that come, since a
// server can wait for either. wait returns when the last is sent,
// or the stream is closed, with the error of a request that
// cannot be sent.
func sendAll(s rpcnet.ClientStream, requests [][]byte) (wait func() error) {
	done := make(chan struct{})
	var failed error
	go func() {
		defer close(done)
		for i, req := range requests {
			// An error that is one of the call itself comes from
			// Recv as well.
			switch err := s.Send(req); {
			case err == io.EOF: // Recv has the reason
				return
			case err != nil:
				if rpcnet.CodeOf(err) == rpcnet.CodeInvalidArgument {
					failed = err
				} else if _, ok := errors.AsType[*rpcnet.Error](err); !ok {
					failed = invalid("request %d: %v", i+1, err)
				}
				s.Close()
				return
			}
		}
		s.CloseSend()
	}()
	return func() error {
		<-done
		return failed
	}
}

// respond answers a call with one response. An error has the
// typed details of the contract.
func (b *Bridge) respond(w *reply, m *method, out []byte, err error) {
	if err != nil {
		w.fail(0, err, m.schema)
		return
	}
	w.answer(out)
}
