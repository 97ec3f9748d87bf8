package bridge

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

// codes are the names of codes in Connect's errors, and their
// statuses of HTTP
// (https://connectrpc.com/docs/protocol#error-codes).
var codes = map[rpcnet.Code]struct {
	name   string
	status int
}{
	rpcnet.CodeCanceled:           {"canceled", 499}, // nginx's: the client closed the request
	rpcnet.CodeUnknown:            {"unknown", http.StatusInternalServerError},
	rpcnet.CodeInvalidArgument:    {"invalid_argument", http.StatusBadRequest},
	rpcnet.CodeDeadlineExceeded:   {"deadline_exceeded", http.StatusGatewayTimeout},
	rpcnet.CodeNotFound:           {"not_found", http.StatusNotFound},
	rpcnet.CodeAlreadyExists:      {"already_exists", http.StatusConflict},
	rpcnet.CodePermissionDenied:   {"permission_denied", http.StatusForbidden},
	rpcnet.CodeResourceExhausted:  {"resource_exhausted", http.StatusTooManyRequests},
	rpcnet.CodeFailedPrecondition: {"failed_precondition", http.StatusBadRequest},
	rpcnet.CodeAborted:            {"aborted", http.StatusConflict},
	rpcnet.CodeOutOfRange:         {"out_of_range", http.StatusBadRequest},
	rpcnet.CodeUnimplemented:      {"unimplemented", http.StatusNotImplemented},
	rpcnet.CodeInternal:           {"internal", http.StatusInternalServerError},
	rpcnet.CodeUnavailable:        {"unavailable", http.StatusServiceUnavailable},
	rpcnet.CodeDataLoss:           {"data_loss", http.StatusInternalServerError},
	rpcnet.CodeUnauthenticated:    {"unauthenticated", http.StatusUnauthorized},
}

// A failure is an error in Connect's JSON.
type failure struct {
	Code    string   `json:"code"`
	Message string   `json:"message,omitempty"`
	Details []detail `json:"details,omitempty"`
}

// A detail is a typed error: its data as it travels, and in JSON
// for who reads it.
type detail struct {
	Type  string          `json:"type"`
	Value string          `json:"value"`
	Debug json.RawMessage `json:"debug,omitempty"`
}

// failureOf returns an error as callers see it, and its status.
// s, if not nil, is the contract of the call.
func failureOf(err error, s *schema.Schema) (failure, int) {
	code := rpcnet.CodeOf(err)
	c, ok := codes[code]
	if !ok {
		c = codes[rpcnet.CodeUnknown]
	}
	f := failure{Code: c.name}
	var e *rpcnet.Error
	if !errors.As(err, &e) { // the text of what is no outcome of a call stays here
		return f, c.status
	}
	// The message is the service's own, for its callers: what it
	// does not want to show, it does not send
	// (rpcnet.ServerConfig.ErrorText).
	f.Message = e.Message()
	for _, d := range e.Unwrap() {
		var raw *codegen.Detail
		// What the library tells itself, such as when to come again, is no error of
		// the contract.
		if s == nil || !errors.As(d, &raw) || internalService(raw.Name) {
			continue
		}
		// Connect's clients decode value themselves, and people
		// read debug.
		out := detail{Type: raw.Name, Value: base64.RawStdEncoding.EncodeToString(raw.Data)}
		if text, err := s.DetailJSON(raw); err == nil {
			out.Debug = text
		}
		f.Details = append(f.Details, out)
	}
	return f, c.status
}

// invalid is the error of a request that is wrong in itself.
func invalid(format string, args ...any) error {
	return rpcnet.Errorf(rpcnet.CodeInvalidArgument, format, args...)
}

// notFound is the error of a request for what is not there.
func notFound(format string, args ...any) error {
	return rpcnet.Errorf(rpcnet.CodeNotFound, format, args...)
}
