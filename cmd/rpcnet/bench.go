package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/openloop"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/spf13/cobra"
)

// maxConcurrency is how many calls bench makes at a time, at most.
const maxConcurrency = 100_000

// benchFlags are the flags of bench.
type benchFlags struct {
	concurrency     int
	rate            float64
	duration, grace time.Duration
}

// newBench returns the command that measures how long calls take.
func newBench(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench SERVICE/METHOD [name=value ... | JSON | @file | -]",
		Short: "make many calls and print how long they took",
		Long: `With -rate the loop is open: a call is due at its time whatever became of those before it,
and a call that begins late because -c calls run already has waited (coordinated omission
is corrected). Without -rate the loop is closed: each of -c callers makes its next call
when the last has ended, and a slow server is asked less.

Several requests are used in turn; a procedure that takes many gets all of them in each
call. Progress and errors go to the standard error. Messages are prepared before.`,
		Example: `  rpcnet bench -c 50 -rate 500 -d 30s greeting.v1.Greeting/Hello name=Ada
  rpcnet bench -c 64 -d 10s greeting.v1.Greeting/Hello '{"name":"Ada"}'
  rpcnet bench -route -rate 100 -d 1m inference.v1.Inference/Generate prompt=Hi max_tokens=20
  rpcnet bench -rate 500 -d 30s -o json greeting.v1.Greeting/Hello @names.ndjson`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("which procedure? want SERVICE/METHOD; \"rpcnet describe\" lists them")
			}
			return checkRequests(args[1:])
		},
	}
	r := routeFlags(env, cmd)
	form := formatFlag(cmd, "text")
	var flags benchFlags
	f := cmd.Flags()
	f.IntVarP(&flags.concurrency, "concurrency", "c", 50, "how many `calls` run at a time, at most")
	f.Float64Var(&flags.rate, "rate", 0, "how many `calls` are due in a second; 0: as many as are answered")
	f.DurationVarP(&flags.duration, "duration", "d", 10*time.Second, "how long calls are begun")
	f.DurationVar(&flags.grace, "grace", 5*time.Second, "how long the last calls may take after that")
	cmd.ValidArgsFunction = r.completeCall
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := flags.check(); err != nil {
			return err
		}
		b := &bench{env: env, flags: flags}
		r.onEvent = countMoves
		ctx := cmd.Context()
		l, err := r.open(ctx)
		if err != nil {
			return err
		}
		defer l.close()
		c, err := r.catalog(l)
		if err != nil {
			return err
		}
		if b.procedure, err = findProcedure(ctx, c, args[0]); err != nil {
			return err
		}
		b.link, b.options = l, r.options()
		for text, err := range requests(b.procedure, env.in, args[1:]) {
			if err != nil {
				return err
			}
			if err := b.prepare(text); err != nil {
				return err
			}
		}
		b.again = reproduce(cmd, r, args)
		return b.run(ctx, form)
	}
	return cmd
}

// check refuses numbers that make no sense.
func (f benchFlags) check() error {
	switch {
	case f.concurrency < 1 || f.concurrency > maxConcurrency:
		return usagef("-c %d: want 1 to %d calls at a time", f.concurrency, maxConcurrency)
	case f.rate < 0 || f.rate > 1e7 || f.rate != f.rate:
		return usagef("-rate %v: want 0, or up to ten million calls a second", f.rate)
	case f.duration <= 0 || f.grace < 0:
		return usagef("-d %v, -grace %v: want times", f.duration, f.grace)
	}
	return nil
}

// A bench is one run of the command.
type bench struct {
	env       *environment
	flags     benchFlags
	link      *link
	procedure *procedure
	options   rpcnet.CallOptions
	requests  [][]byte
	again     string // the command line that does the same
}

// encoded reports whether calls send what was encoded before, so that what is measured is
// the call. Streams that can be resumed and calls with a key in their request need JSON.
func (b *bench) encoded() bool {
	spec := b.procedure.spec
	return spec.Resume == nil && spec.Route == nil && spec.Request.Encoding == codegen.EncodingCBOR
}

// prepare takes a request in JSON.
func (b *bench) prepare(text []byte) error {
	if err := b.procedure.check(text); err != nil {
		return err
	}
	if b.encoded() {
		encoded, err := b.procedure.spec.Request.Append(nil, text)
		if err != nil {
			return err
		}
		text = encoded
	}
	b.requests = append(b.requests, text)
	return nil
}

// prepared returns the spec for what prepare has made.
func (b *bench) prepared() *rpcnet.Spec {
	spec := *b.procedure.spec
	if b.encoded() {
		spec.Request, spec.Response = codegen.Message{}, codegen.Message{} // bytes
	}
	return &spec
}

// run makes the calls and prints what was measured. It fails if no call succeeded.
func (b *bench) run(ctx context.Context, form *format) error {
	if len(b.requests) == 0 {
		return usageError("no request: the file or the standard input is empty")
	}
	spec := b.prepared()
	// What is wrong with all calls shows before they are made.
	if first := b.call(ctx, spec, 0); first.err != nil {
		s := &session{name: "rpcnet bench", env: b.env, link: b.link, procedure: b.procedure, form: form}
		return s.failed(first.record, first.err)
	}
	report := openloop.Run(ctx, openloop.Config{
		Rate: b.flags.rate, Concurrency: b.flags.concurrency, Duration: b.flags.duration, Grace: b.flags.grace,
		Call:     func(ctx context.Context, number int) openloop.Result { return b.call(ctx, spec, number).Result },
		Progress: b.progress(),
	})
	if err := b.show(report, form); err != nil {
		return err
	}
	if report.Calls == report.Failed {
		return errors.New("no call has succeeded")
	}
	return nil
}

// A benchCall is how a call went.
type benchCall struct {
	openloop.Result
	record *rpcnet.Call
	err    error
}

// moves is the key of a call's count of moves in its context.
type moves struct{}

// countMoves counts that a stream goes on at another worker.
func countMoves(ctx context.Context, e workers.Event) {
	if n, ok := ctx.Value(moves{}).(*int); ok && e.Kind == workers.EventResumed {
		*n++ // on the goroutine of the call
	}
}

// call makes one call.
func (b *bench) call(ctx context.Context, spec *rpcnet.Spec, number int) (c benchCall) {
	moved := new(int)
	ctx, c.record = rpcnet.NewCall(context.WithValue(ctx, moves{}, moved), b.options)
	c.err = b.exchange(ctx, spec, number, &c.Result)
	c.End, c.Moves = time.Now(), *moved
	if c.err != nil {
		c.Code = codeName(rpcnet.CodeOf(c.err))
	}
	return c
}

// exchange sends the requests of a call and receives its responses.
func (b *bench) exchange(ctx context.Context, spec *rpcnet.Spec, number int, r *openloop.Result) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := b.link.NewStream(ctx, spec)
	if err != nil {
		return err
	}
	defer st.Close()
	reqs := b.requests
	if !spec.Shape.ClientStreams() {
		reqs = reqs[number%len(reqs):][:1]
	}
	send := func() {
		for _, req := range reqs {
			if st.Send(req) != nil {
				return // Recv has the reason
			}
		}
		st.CloseSend()
	}
	if len(reqs) == 1 {
		send()
	} else {
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			send()
		}()
		// Answers can come before all requests are sent.
		defer func() {
			cancel()
			<-sent
		}()
	}
	var msg []byte
	for {
		err := st.Recv(&msg)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if r.Messages++; r.First.IsZero() {
			r.First = time.Now()
		}
	}
}
