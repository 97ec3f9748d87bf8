package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/examples/cluster/contract"
	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/program"
	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/transcript"
)

const (
	dialTimeout = 2 * time.Second
	askTimeout  = 5 * time.Second
	// Between two questions to the director that had no answer.
	firstPause, longestPause = 250 * time.Millisecond, 4 * time.Second
	// How long a worker that has failed is not wanted again.
	grudge = 5 * time.Second
)

// A generation is one text, from whatever workers it takes. It is for one
// goroutine.
type generation struct {
	director string
	creds    rpcnet.Credentials
	selector string
	log      *slog.Logger
	seed     uint64
	tokens   uint64 // 0: without end
	interval time.Duration
	stall    time.Duration // after which a silent worker is given up

	conn   *rpcnet.Conn         // to the director; nil before the first contact
	next   uint64               // the token wanted
	failed map[string]time.Time // by label: when a worker failed us
	id     string               // of the connection, as the director names it
}

// run generates until the text is complete or ctx ends.
func (g *generation) run(ctx context.Context) error {
	g.failed = map[string]time.Time{}
	defer func() {
		if g.conn != nil {
			g.conn.Close()
		}
	}()
	pause := firstPause
	for {
		worker, err := g.ask(ctx)
		if err == nil {
			pause = firstPause
			err = g.stream(ctx, worker)
		} else if ctx.Err() == nil {
			if errors.As(err, new(*contract.BadSelector)) || errors.As(err, new(program.ConfigError)) {
				return err
			}
			g.log.Warn(fmt.Sprintf("⚠️  %s - asking again in %v", g.reason(err), pause))
			clear(g.failed) // better one of those than nobody
			wait(ctx, pause)
			pause = min(2*pause, longestPause)
			continue
		}
		switch {
		case ctx.Err() != nil:
			g.log.Info("👋 client stopped", "tokens", g.next-1)
			return nil
		case err == nil:
			g.log.Info("✅ stream completed", "tokens", g.next-1)
			return nil
		case errors.As(err, new(*contract.InvalidRequest)):
			return err
		case moved(err):
			g.log.Info("👋 worker is leaving", "worker", worker.Label)
		default:
			g.log.Warn("⚠️  worker failed - will request new worker from director", "worker", worker.Label, "error", plain(err))
		}
		g.failed[worker.Label] = time.Now()
		g.log.Info("🔄 returning to director for new worker assignment", "next", g.next)
	}
}

// plain returns the worker's own error if err carries one.
func plain(err error) error {
	var failed *contract.WorkerFailed
	if errors.As(err, &failed) {
		return failed
	}
	return err
}

// reason says why the director has given no worker.
func (g *generation) reason(err error) string {
	var none *contract.NoWorkers
	if errors.As(err, &none) {
		return none.Error()
	}
	return fmt.Sprintf("director at %s does not answer: %v", g.director, err)
}

// ask returns a worker that the director has chosen, other than those that
// have just failed.
func (g *generation) ask(ctx context.Context) (*contract.GetWorkerResponse, error) {
	g.log.Info("🔍 asking director for worker assignment")
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if g.conn == nil {
		conn, err := rpcnet.Dial(ctx, g.director, g.creds, rpcnet.WithLogger(g.log))
		if rpcnet.CodeOf(err) == rpcnet.CodeUnknown {
			return nil, program.ConfigError{Err: err} // the certificates
		}
		if err != nil {
			return nil, err
		}
		g.conn = conn
		g.log.Info("✅ connected to director")
	}
	req := &contract.GetWorkerRequest{Selector: g.selector, ConnectionID: g.id}
	for label, at := range g.failed {
		if time.Since(at) > grudge {
			delete(g.failed, label)
			continue
		}
		req.Exclude = append(req.Exclude, label)
	}
	worker, err := contract.NewDirectorRegistryClient(g.conn).GetWorker(ctx, req)
	if err == nil {
		g.id = worker.ConnectionID
	}
	return worker, err
}

// moved reports whether a stream ended because its worker is about to leave:
// nothing went wrong.
func moved(err error) bool {
	_, ok := cluster.MovedAt(err)
	return ok
}

// stream generates on one worker until the text is complete, which is nil, or
// something ends it.
func (g *generation) stream(ctx context.Context, worker *contract.GetWorkerResponse) error {
	g.log.Info("🔀 director assigned worker - establishing direct connection", "worker", worker.Label, "addr", worker.Addr)
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := rpcnet.Dial(dialing, worker.Addr, g.creds, rpcnet.WithLogger(g.log))
	if err != nil {
		return err
	}
	defer conn.Close()
	g.log.Info(transcript.Established, "worker", worker.Label, "addr", worker.Addr)

	ctx, watch := watchForStall(ctx, g.stall)
	defer watch.Stop()
	g.log.Info("📤 creating request stream")
	req := &contract.InferenceRequest{
		ConnectionID: worker.ConnectionID, Prompt: "Tell me a story.",
		Seed: g.seed, MaxTokens: g.tokens, TokenInterval: g.interval, ResumeFrom: g.next,
	}
	g.log.Info("🔌 calling generate on worker")
	stream, err := contract.NewInferenceClient(conn).GenerateStream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	if err := stream.Send(req); err != nil && err != io.EOF {
		return err
	}
	g.log.Info("🌊 stream opened successfully, starting to consume responses")
	for {
		res, err := stream.Recv()
		watch.Saw()
		switch {
		case err == io.EOF:
			return errors.New("the stream ended before the text")
		case err != nil:
			if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
				return cause
			}
			return err
		}
		switch res := res.(type) {
		case contract.Connected:
			g.log.Info("🔄 worker confirmed connection", "worker", res.Worker, "connection", res.ConnectionID)
		case contract.Token:
			if res.Sequence != g.next {
				return fmt.Errorf("the worker sent token %d, want %d", res.Sequence, g.next)
			}
			g.log.Info(transcript.Received(res.Sequence, res.Text, g.next))
			g.next++
		case contract.Error:
			return errors.New(res.Message)
		case contract.Done:
			return nil
		}
	}
}

// wait waits until d has passed or ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
