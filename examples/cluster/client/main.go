// Command client is the user of the cluster example: it asks the director for a
// worker, streams tokens directly from it, and goes on with the next token on
// another worker when that one fails. See "client -h".
//
//	DIRECTOR_ADDR=127.0.0.1:61000 go run ./examples/cluster/client
package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/program"
)

func main() {
	p := program.New("client", "asks the director for a worker and streams tokens from it.", "the director to ask")
	tokens := p.Vars.Uint("TOKENS", 100, 0, math.MaxInt64, "how many tokens to generate; 0 is without end")
	interval := p.Vars.Duration("TOKEN_INTERVAL", 200*time.Millisecond, 0, time.Minute, "the time between two of them")
	stall := p.Vars.Duration("STALL_TIMEOUT", 0, 0, time.Hour, "how long a worker may be silent before another one goes on; 0 is 8 intervals, at least 1s and at most 10s")
	seed := p.Vars.Uint("SEED", 0, 0, math.MaxUint64, "what the text is drawn from; 0 numbers the tokens")
	selector := ""
	p.Vars.Func("SELECTOR", "", "which workers will do, by their tags, such as gpu=h100,zone in (a,b)", func(s string) error {
		selector = s
		_, err := cluster.ParseSelector(s)
		return err
	})
	p.Main(func(ctx context.Context, log *slog.Logger) error {
		log.Info(fmt.Sprintf("📡 Starting Client - connecting to director at %s", *p.DirectorAddr))
		creds, err := p.Credentials(log)
		if err != nil {
			return err
		}
		if *stall == 0 {
			*stall = min(max(8**interval, time.Second), 10*time.Second)
		}
		g := &generation{
			director: *p.DirectorAddr, creds: creds, selector: selector, log: log,
			seed: *seed, tokens: *tokens, interval: *interval, stall: *stall, next: 1,
		}
		return g.run(ctx)
	})
}
