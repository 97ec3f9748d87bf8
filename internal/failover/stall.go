package failover

import "time"

// Bounds of the time-out of a stream that has stalled.
const (
	stallMin    = 500 * time.Millisecond
	stallMax    = 10 * time.Second
	stallFactor = 8
)

// A Stall adapts to the rhythm of a stream and says how long a reader waits
// before it doubts a silent worker. The zero value has seen nothing.
type Stall struct {
	// mean is the mean time between two messages in seconds, of gaps of them.
	mean float64
	gaps int
	// at is the instant of the last message, or of the start of the attempt.
	at time.Duration
	// started says that the present attempt has brought a message.
	started bool
}

// Start says that an attempt begins.
func (s *Stall) Start(now time.Duration) { s.at, s.started = now, false }

// Message says that a message was received.
func (s *Stall) Message(now time.Duration) {
	gap := now - s.at
	s.at = now
	// The time to the first message is that of a worker to begin, not the rhythm of the
	// stream.
	if !s.started {
		s.started = true
		return
	}
	// The mean of the first 8, then one that forgets exponentially.
	s.gaps++
	s.mean += (gap.Seconds() - s.mean) / float64(min(s.gaps, 8))
}

// Timeout returns how long to wait for the next message before the worker is
// asked whether it lives: 8 times the mean gap, from 0.5 to 10 s. Before the
// first message of an attempt it is 0.5 s: nothing is known of this worker, and one
// that lives keeps the stream.
func (s *Stall) Timeout() time.Duration {
	if s.gaps == 0 || !s.started {
		return stallMin
	}
	return min(max(time.Duration(stallFactor*s.mean*float64(time.Second)), stallMin), stallMax)
}
