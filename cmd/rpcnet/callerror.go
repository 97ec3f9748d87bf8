package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/printable"
)

// A callFailure is a call that failed, as programs read it.
type callFailure struct {
	Code     string   `json:"code"`
	Message  string   `json:"message"`
	Details  []detail `json:"details,omitempty"`
	Worker   string   `json:"worker,omitempty"`
	Addr     string   `json:"addr,omitempty"`
	Attempts int      `json:"attempts"`
	// RetryAfter is when the side that refused the call expects to have room, in seconds;
	// 0 if it does not say.
	RetryAfter float64 `json:"retry_after,omitempty"`
}

// failed prints why a call failed, with all that is known of it, on the standard error.
func (s *session) failed(c *rpcnet.Call, err error) error {
	worker, addr := s.server(c)
	f := callFailure{
		Code: codeName(rpcnet.CodeOf(err)), Message: err.Error(), Details: s.procedure.details(err),
		Worker: worker, Addr: addr, Attempts: c.Attempts(),
	}
	var e *rpcnet.Error
	if errors.As(err, &e) {
		f.Message, f.RetryAfter = e.Message(), e.RetryAfter().Seconds()
	}
	if s.form.json() {
		printJSON(s.env.errs, f)
		return shownError{err}
	}
	fmt.Fprintf(s.env.errs, "%s: %v: %s\n", s.name, rpcnet.CodeOf(err), printable.Line(f.Message, maxErrorText))
	for _, d := range f.Details {
		text, err := json.Marshal(d.Value)
		if err != nil {
			text = []byte(err.Error())
		}
		fmt.Fprintf(s.env.errs, "  %s: %s\n", cell(d.Type), printable.Line(string(text), maxErrorText))
	}
	switch {
	case f.Worker == "" && f.Addr == "":
		fmt.Fprintf(s.env.errs, "  no worker was found; attempts: %d\n", f.Attempts)
	default:
		fmt.Fprintf(s.env.errs, "  served by %s at %s; attempts: %d\n", cell(f.Worker), cell(f.Addr), f.Attempts)
	}
	if f.RetryAfter > 0 {
		fmt.Fprintf(s.env.errs, "  it expects to have room after %v\n", threeDigits(e.RetryAfter()))
	}
	return shownError{err}
}

// codeName returns the name of a code as HTTP bridges write it, such as "not_found".
func codeName(c rpcnet.Code) string {
	var b strings.Builder
	for i, r := range c.String() {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// sortedKeys returns the keys of metadata, sorted.
func sortedKeys(h rpcnet.Header) []string { return slices.Sorted(maps.Keys(h)) }
