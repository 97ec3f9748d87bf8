package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/printable"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/spf13/cobra"
)

// newCall returns the command that calls a procedure.
func newCall(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "call SERVICE/METHOD [name=value ... | JSON | @file | -]",
		Short: "call a procedure of any service",
		Long: `The request is made of its fields, by the contract: name=Ada, address.city=Rom,
tag=a tag=b for a list, image=@cat.png for what a file contains, point:={"x":1} for any
JSON. Or it is JSON, a file of JSON (@file), or the standard input (-), one value after
the other: each is a call of its own, or a request of a procedure that takes many.

Answers are JSON on the standard output, one a line for more than one. Everything else
goes to the standard error: of a call that failed its code, its message, its typed
details, who served it and how often it was tried.`,
		Example: `  rpcnet call greeting.v1.Greeting/Hello name=Ada
  rpcnet call greeting.v1.Greeting/Hello '{"name":"Ada"}'
  rpcnet call greeting.v1.Greeting/Count name=Ada times=3
  rpcnet call greeting.v1.Greeting/Hello - < names.ndjson > greetings.ndjson
  rpcnet call -route -select gpu=h100 inference.v1.Inference/Generate prompt=Hi
  rpcnet call -schema greeting_rpcnet.gen.go -v greeting.v1.Greeting/Hello name=Ada`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("which procedure? want SERVICE/METHOD; \"rpcnet describe\" lists them")
			}
			return checkRequests(args[1:])
		},
	}
	r := routeFlags(env, cmd)
	form := formatFlag(cmd, "text")
	f := cmd.Flags()
	headers := f.StringArray("header", nil, "metadata of the call, as `key=value`; can be given more than once")
	deadline := f.Duration("deadline", 0, "how long each call may take; 0: as the contract says")
	verbose := f.BoolP("verbose", "v", false, "print who served the call, how long it took and its metadata, on the standard error")
	cmd.ValidArgsFunction = r.completeCall
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		header, err := parseHeaders(*headers)
		if err != nil {
			return err
		}
		if _, _, err := splitProcedure(args[0]); err != nil {
			return err
		}
		ctx := cmd.Context()
		s := &session{name: cmd.CommandPath(), env: env, form: form, deadline: *deadline, verbose: *verbose}
		r.onEvent = s.event
		l, err := r.open(ctx)
		if err != nil {
			return err
		}
		defer l.close()
		c, err := r.catalog(l)
		if err != nil {
			return err
		}
		if s.procedure, err = findProcedure(ctx, c, args[0]); err != nil {
			return err
		}
		s.link, s.options = l, r.options()
		s.options.Header = header
		return s.run(ctx, requests(s.procedure, env.in, args[1:]))
	}
	return cmd
}

// parseHeaders returns the metadata of the flags -header.
func parseHeaders(lines []string) (rpcnet.Header, error) {
	h := rpcnet.Header{}
	for _, l := range lines {
		key, value, ok := strings.Cut(l, "=")
		if !ok {
			return nil, usagef("-header %q: want key=value", l)
		}
		key = strings.ToLower(strings.TrimSpace(key))
		h[key] = append(h[key], value)
	}
	if err := h.Validate(); err != nil {
		return nil, usagef("-header: %v", err)
	}
	return h, nil
}

// A session is the calls of one command line.
type session struct {
	name      string // of the command, for errors
	env       *environment
	link      *link
	procedure *procedure
	options   rpcnet.CallOptions
	form      *format
	deadline  time.Duration
	verbose   bool

	served atomic.Pointer[workers.Event] // with -route: the last worker that the call was given
}

// event notes the worker that a call is given.
func (s *session) event(_ context.Context, e workers.Event) {
	if e.Kind == workers.EventAssigned || e.Kind == workers.EventAlternate {
		s.served.Store(&e)
	}
}

// run makes the calls that the requests need: one for each, or one for all of a
// procedure that takes many. It ends with the first call that fails.
func (s *session) run(ctx context.Context, reqs iter.Seq2[[]byte, error]) error {
	if s.procedure.spec.Shape.ClientStreams() {
		return s.call(ctx, reqs)
	}
	for req, err := range reqs {
		if err != nil {
			return err
		}
		if err := s.call(ctx, func(yield func([]byte, error) bool) { yield(req, nil) }); err != nil {
			return err
		}
	}
	return nil
}

// call makes one call and prints its answers.
func (s *session) call(ctx context.Context, reqs iter.Seq2[[]byte, error]) error {
	if s.deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.deadline)
		defer cancel()
	}
	s.served.Store(nil)
	ctx, record := rpcnet.NewCall(ctx, s.options)
	st, err := s.link.NewStream(ctx, s.procedure.spec)
	if err != nil {
		return s.failed(record, err)
	}
	defer st.Close()
	sent := make(chan error, 1)
	go func() {
		err := s.send(st, reqs)
		sent <- err // before Recv ends by it
		if err != nil {
			st.Close() // the requests are not what the user meant
		}
	}()
	err = s.receive(st)
	st.Close()
	if s.verbose {
		s.printRecord(record)
	}
	if err == nil {
		return nil // what was not sent is not wanted
	}
	var out *outputError
	if errors.As(err, &out) {
		return out.error
	}
	select {
	case wrong := <-sent:
		if wrong != nil {
			return wrong
		}
	default: // requests are still read: a terminal may never end them
	}
	return s.failed(record, err)
}

// send sends the requests. Its error is one of the requests and not of the call.
func (s *session) send(st rpcnet.ClientStream, reqs iter.Seq2[[]byte, error]) error {
	for text, err := range reqs {
		if err != nil {
			return err
		}
		if err := s.procedure.check(text); err != nil {
			return err
		}
		if err := st.Send(text); err != nil {
			return nil // Recv has the reason
		}
	}
	st.CloseSend() // the same
	return nil
}

// An outputError says that an answer could not be printed.
type outputError struct{ error }

// receive prints the answers.
func (s *session) receive(st rpcnet.ClientStream) error {
	var b []byte
	for {
		err := st.Recv(&b)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		text, err := s.procedure.complete(b)
		if err != nil {
			return &outputError{err}
		}
		if err := s.print(text); err != nil {
			return &outputError{err}
		}
	}
}

// print prints an answer: on one line, or for people over several if it is the only one.
func (s *session) print(text []byte) error {
	text = printable.JSON(text)
	if !s.procedure.spec.Shape.ServerStreams() && !s.form.json() {
		var b bytes.Buffer
		if err := json.Indent(&b, text, "", "  "); err != nil {
			return err
		}
		text = b.Bytes()
	}
	_, err := fmt.Fprintf(s.env.out, "%s\n", text)
	return err
}

// printRecord prints what is known of a call beside its answers.
func (s *session) printRecord(c *rpcnet.Call) {
	first, total := c.Timings()
	worker, addr := s.server(c)
	fmt.Fprintf(s.env.errs, "served by %s at %s; attempts: %d; first answer after %v, end after %v\n", cell(worker), cell(addr), c.Attempts(), first, total)
	for _, h := range []struct {
		name   string
		header rpcnet.Header
	}{{"header", c.Header()}, {"trailer", c.Trailer()}} {
		for _, key := range sortedKeys(h.header) {
			for _, v := range h.header[key] {
				fmt.Fprintf(s.env.errs, "%s %s: %s\n", h.name, cell(key), printable.Line(v, maxEventText))
			}
		}
	}
}

// server returns who served a call.
func (s *session) server(c *rpcnet.Call) (worker, addr string) {
	if s.link.conn != nil {
		return s.link.conn.Peer().ID, s.link.conn.Addr()
	}
	if by := s.served.Load(); by != nil {
		return by.Worker, by.Addr
	}
	if p := c.Peer(); p.Addr != nil {
		return p.ID, p.Addr.String()
	}
	return "", ""
}
