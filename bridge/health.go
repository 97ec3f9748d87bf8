package bridge

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// errDraining is why a process that ends gets no more requests.
var errDraining = errors.New("the endpoint drains")

// notReady returns why the process should get no requests, nil if
// it should.
func (b *Bridge) notReady() error {
	if b.draining.Err() != nil {
		return errDraining
	}
	// The program knows best whether it has joined.
	if b.cfg.Ready != nil {
		return b.cfg.Ready()
	}
	return nil
}

// health answers requests of load balancers and of kubelets, who
// show nothing of themselves. Why the process is not ready is for
// callers who do, with ?verbose. It returns false if the request
// is none of theirs.
func (b *Bridge) health(w *reply, r *http.Request) bool {
	var why error
	switch r.URL.Path {
	case "/livez":
	case "/readyz", "/healthz":
		why = b.notReady()
	default:
		return false
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return true
	}
	// The texts are for people: probes look at the status alone.
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	text := "ok\n"
	if why != nil {
		text = "not ready\n"
		if r.URL.Query().Has("verbose") {
			if _, known := b.callers.authenticate(r); known {
				text = why.Error() + "\n"
			}
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	io.WriteString(w, text)
	return true
}

// checkHealth serves /grpc.health.v1.Health/Check: of the process
// if the request names no service, else of one that can be
// called.
func (b *Bridge) checkHealth(w *reply, r *http.Request) {
	var req struct {
		Service string `json:"service"`
	}
	// The names of gRPC's health protocol, whose request is this
	// small:
	// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	err := json.NewDecoder(r.Body).Decode(&req)
	if err != nil && err != io.EOF {
		w.fail(http.StatusBadRequest, invalid("request: want an object such as {\"service\":\"\"}"), nil)
		return
	}
	if req.Service != "" && !b.catalog.has(r.Context(), req.Service) {
		w.fail(http.StatusNotFound, notFound("there is no service %.100q", req.Service), nil)
		return
	}
	status := "SERVING"
	if b.notReady() != nil {
		status = "NOT_SERVING"
	}
	w.answer([]byte(`{"status":"` + status + `"}`))
}
