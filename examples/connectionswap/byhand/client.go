package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/examples/connectionswap/contract"
	"github.com/rpcnet-go/rpcnet/examples/connectionswap/internal/common"
)

// silence is how long a worker may send nothing before the client swaps it.
// It must be longer than any token takes, which is not known in advance.
const silence = 3 * time.Second

// retryAfter is the pause between two questions to the director.
const retryAfter = 500 * time.Millisecond

var errSilent = errors.New("the worker is silent")

// A swapper is one client with the worker it is connected to.
type swapper struct {
	creds    rpcnet.Credentials
	director *rpcnet.Conn
	conn     *rpcnet.Conn // to the worker
	label    string       // the worker's
	failed   string       // the worker that failed last
}

func client(ctx context.Context) error {
	s := &swapper{creds: common.Credentials("client")}
	defer s.close()
	req := common.Request()
	for {
		err := s.generate(ctx, req)
		if err == nil {
			fmt.Println("done")
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Println("swapping the connection at token", req.ResumeFrom, "because:", err)
		s.drop()
	}
}

// generate streams from the present worker and notes in req how far it came.
func (s *swapper) generate(ctx context.Context, req *contract.GenerateRequest) error {
	if err := s.connect(ctx); err != nil {
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
		}
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer watch.Stop()
	for t, err := range contract.NewInferenceClient(s.conn).Generate(ctx, req) {
		if err != nil {
			return err
		}
		watch.Reset(silence)
		if t.Sequence < req.ResumeFrom {
			continue
		}
		if t.Sequence > req.ResumeFrom {
			return fmt.Errorf("token %d is missing", req.ResumeFrom)
		}
		common.Print(t)
		req.ResumeFrom++
	}
	if req.ResumeFrom <= req.Last {
		return errors.New("the stream ended early")
	}
	return nil
}

// connect asks the director for a worker and connects to it.
func (s *swapper) connect(ctx context.Context) (err error) {
	if s.conn != nil {
		return nil
	}
	if s.director == nil {
		if s.director, err = rpcnet.Dial(ctx, common.Director(), s.creds, nil); err != nil {
			s.director = nil
			return err
		}
	}
	w, err := contract.NewRegistryClient(s.director).GetWorker(ctx, &contract.GetWorkerRequest{Failed: s.failed})
	if err != nil {
		return err
	}
	s.label = w.Label
	dialing, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if s.conn, err = rpcnet.Dial(dialing, w.Addr, s.creds, nil); err != nil {
		s.conn, s.failed = nil, w.Label
	}
	return err
}

// drop gives the present worker up.
func (s *swapper) drop() {
	if s.conn != nil {
		s.conn.Close()
		s.conn, s.failed = nil, s.label
	}
}

func (s *swapper) close() {
	s.drop()
	if s.director != nil {
		s.director.Close()
	}
}
