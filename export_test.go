package rpcnet

import "time"

// WithPoll returns credentials whose files are looked at every poll.
func (c Credentials) WithPoll(poll time.Duration) Credentials {
	c.poll = poll
	return c
}

// Serves reports whether Serve has begun.
func (ep *Endpoint) Serves() bool { return ep.server.Load() != nil }

// MatchText is the matching of patterns.
var MatchText = matchText

// ParseHeader reads the metadata that a peer has sent.
func ParseHeader(b []byte) (Header, error) {
	h, err := parseHeader(b)
	if err != nil {
		return nil, err
	}
	return h, nil
}
