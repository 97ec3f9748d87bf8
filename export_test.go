package rpcnet

import "time"

// WithPoll returns credentials whose files are looked at every poll.
func (c Credentials) WithPoll(poll time.Duration) Credentials {
	c.poll = poll
	return c
}
