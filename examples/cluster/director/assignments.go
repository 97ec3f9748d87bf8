package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
)

// logAssignments is in front of every call: it says what clients ask for and
// what they are given, in whichever contract.
func logAssignments(log *slog.Logger) func(rpcnet.ServerFunc) rpcnet.ServerFunc {
	return func(next rpcnet.ServerFunc) rpcnet.ServerFunc {
		return func(ctx context.Context, spec *rpcnet.Spec, s rpcnet.ServerStream) error {
			if !strings.HasSuffix(spec.Procedure, "/GetWorker") {
				return next(ctx, spec, s)
			}
			call := &assignment{ServerStream: s, spec: spec, log: log}
			err := next(ctx, spec, call)
			if err != nil && ctx.Err() == nil { // somebody is there to be told
				log.Warn("⚠️  No workers available", "reason", err)
			}
			return err
		}
	}
}

// An assignment is a call of GetWorker that is logged.
type assignment struct {
	rpcnet.ServerStream
	spec *rpcnet.Spec
	log  *slog.Logger
}

// Recv receives the question.
func (a *assignment) Recv(msg any) error {
	if err := a.ServerStream.Recv(msg); err != nil {
		return err
	}
	var q struct {
		Selector string
		Exclude  []string
	}
	view(a.spec.Request, msg, &q)
	a.log.Info("📨 client requesting worker assignment", "selector", q.Selector, "exclude", q.Exclude)
	return nil
}

// Send sends the answer.
func (a *assignment) Send(msg any) error {
	type worker struct{ Name, Label, Addr string }
	var w struct {
		worker
		Worker worker
	}
	view(a.spec.Response, msg, &w)
	a.log.Info("✅ assigned worker to client", "worker", w.Worker.Name+w.Label, "addr", w.Worker.Addr+w.Addr)
	return a.ServerStream.Send(msg)
}

// view fills the struct that to points to with the fields of a message by
// their names. What the message lacks stays empty.
func view(m codegen.Message, msg, to any) {
	b, err := m.Append(nil, msg)
	if err == nil {
		b, err = m.JSON.AppendJSON(nil, b)
	}
	if err == nil {
		json.Unmarshal(b, to)
	}
}
