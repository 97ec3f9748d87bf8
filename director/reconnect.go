package director

import (
	"context"
	"slices"
	"sync"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/failover"
)

// reconnect puts a question to the directors that have not answered, in the order
// in which they can be reached, as long as one may take to answer, until the
// matter is settled or all have answered.
//
// It returns why the last one could not be reached, nil if that is not known.
//
// The client's own connections to directors come back at their own pace, which
// is up to 2 s after the director. So each director is dialled too, once for all
// calls that wait.
func (c *Client) reconnect(ctx context.Context, answers []answer, put func(director int, conn *rpcnet.Conn) answer) (failure error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.AskTimeout)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	type director struct {
		i    int
		conn *rpcnet.Conn
	}
	reached := make(chan director)
	failures := make(chan error, len(c.directors))
	for i, own := range c.directors {
		if answers[i] != noAnswer {
			continue
		}
		tell := func(conn *rpcnet.Conn) {
			select {
			case reached <- director{i, conn}:
			case <-ctx.Done():
			}
		}
		work.Go(func() {
			for {
				ready, changed := own.Ready()
				if ready {
					tell(own)
					return
				}
				select {
				case <-changed:
				case <-ctx.Done():
					return
				}
			}
		})
		work.Go(func() {
			var l failover.Lease
			conn, err := l.Take(ctx, c.again, failover.Worker{Addr: own.Addr()}, true)
			if err == nil {
				tell(conn)
				<-ctx.Done() // it is in use
			}
			if err != nil && ctx.Err() == nil {
				failures <- err
			}
			l.Return(err != nil)
		})
	}
	for slices.Contains(answers, noAnswer) {
		select {
		case d := <-reached:
			if answers[d.i] != noAnswer {
				continue // it was reached before, in the other way
			}
			if answers[d.i] = put(d.i, d.conn); answers[d.i] == settled {
				return nil
			}
		case failure = <-failures:
		case <-ctx.Done():
			return failure
		}
	}
	return failure
}
