package director

import (
	"context"
	"slices"
	"sync"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/directorv1"
	"github.com/rpcnet-go/rpcnet/internal/failover"
)

// A reached director can be asked over conn. The connection is the client's own, or one of
// Client.again, which stays open while the offer of it lasts.
type reached struct {
	director int // its place in Client.directors
	conn     *rpcnet.Conn
}

// reconnect puts the question to the directors that have not answered, in the order
// in which they can be reached, until the matter is settled or all have answered. It
// lasts at most as long as one director may take to answer. It returns why the last
// one could not be reached, nil if that is not known.
//
// The client's own connection to a director comes back up to 2 s after the director,
// because it dials with pauses. So each director is dialled too, once for all calls
// that wait: what comes first counts. The two goroutines for each director end before
// reconnect returns.
func (q *question) reconnect() (failure error) {
	c := q.client
	ctx, cancel := context.WithTimeout(q.ctx, c.cfg.AskTimeout)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	found := make(chan reached)                    // without room: an offer that is not taken ends with ctx
	failures := make(chan error, len(c.directors)) // with room: there is one for each at most
	for i, own := range c.directors {
		if q.answers[i] != noAnswer {
			continue
		}
		offer := func(conn *rpcnet.Conn) {
			select {
			case found <- reached{i, conn}:
			case <-ctx.Done():
			}
		}
		work.Go(func() {
			if awaitReady(ctx, own) {
				offer(own)
			}
		})
		work.Go(func() {
			if err := c.dialAgain(ctx, own.Addr(), offer); err != nil && ctx.Err() == nil {
				failures <- err
			}
		})
	}
	for slices.Contains(q.answers, noAnswer) {
		select {
		case d := <-found:
			if q.answers[d.director] != noAnswer {
				continue // it was reached before, in the other way
			}
			if q.put(d.director, directorv1.NewDirectorClient(d.conn)) == settled {
				return nil
			}
		case failure = <-failures:
		case <-ctx.Done():
			return failure
		}
	}
	return failure
}

// awaitReady waits until conn takes calls. changed is closed at each change, so that
// none is missed between two looks. It returns false if ctx ends first.
func awaitReady(ctx context.Context, conn *rpcnet.Conn) bool {
	for {
		ready, changed := conn.Ready()
		if ready {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// dialAgain dials the director at addr, together with all calls that do so at this
// time, and offers the connection until ctx ends. The error says why there is none.
func (c *Client) dialAgain(ctx context.Context, addr string, offer func(*rpcnet.Conn)) error {
	var l failover.Lease
	conn, err := l.Take(ctx, c.again, failover.Worker{Addr: addr}, true)
	defer func() { l.Return(err != nil) }()
	if err != nil {
		return err
	}
	offer(conn)
	<-ctx.Done() // until then it is in use, and not closed
	return nil
}
