package phi

import "time"

// A State is what a [Monitor] holds of its peer.
type State uint8

// The states, from best to worst.
const (
	// StateAlive: heartbeats arrive in time.
	StateAlive State = iota
	// StateLate is the first level: do not pick it while there are others, and ask it
	// directly, on another path than that of its heartbeats if there is one. It is not
	// reported to others.
	StateLate
	// StateSuspect is the second level: out of the pool. Running calls are left alone.
	StateSuspect
)

// String returns "alive", "late" or "suspect".
func (s State) String() string {
	return [...]string{"alive", "late", "suspect"}[min(s, StateSuspect)]
}

// flapWindow and flapLimit say what flapping is: more than flapLimit
// suspicions within flapWindow.
const (
	flapWindow = time.Minute
	flapLimit  = 3
	// startWeight is the weight of a peer that has just recovered.
	startWeight = 0.25
)

// A Monitor follows one peer through its states:
//
//	Alive -(AvoidAt)-> Late -(SuspectAt)-> Suspect
//	Late -(any sign of life)-> Alive
//	Suspect -(RecoverAfter heartbeats in time, MinSuspicion and hold-down over)-> Alive
//
// The owner calls Heartbeat and Touch at arrivals, and Check
// at [Monitor.Deadline] or on a regular tick. Instants are as in [Detector]. A
// Monitor is not safe for concurrent use.
type Monitor struct {
	*Detector

	state     State
	since     time.Duration // of state Suspect
	onTime    int           // heartbeats in time since then, in a row
	recent    []time.Duration
	hold      time.Duration // current hold-down
	recovered time.Duration // end of the last suspicion
	ramping   bool          // recovered is set
}

// NewMonitor returns a monitor of a peer that is [StateAlive] at the given instant.
func NewMonitor(cfg Config, at time.Duration) (*Monitor, error) {
	d, err := NewDetector(cfg, at)
	if err != nil {
		return nil, err
	}
	return &Monitor{Detector: d}, nil
}

// Heartbeat records a heartbeat and returns the state after it.
func (m *Monitor) Heartbeat(at time.Duration) State {
	m.Check(at) // the silence before this heartbeat may have crossed a deadline
	inTime := at <= m.AvoidAt()
	m.Detector.Heartbeat(at)
	if m.state != StateSuspect {
		m.state = StateAlive
		return m.state
	}
	if inTime {
		m.onTime++
	} else {
		m.onTime = 0
	}
	return m.recover(at)
}

// Touch records another sign of life and returns the state after it. It ends
// lateness, not suspicion: that takes heartbeats.
func (m *Monitor) Touch(at time.Duration) State {
	m.Check(at)
	m.Detector.Touch(at)
	if m.state == StateLate {
		m.state = StateAlive
	}
	return m.state
}

// Check moves the state to what the silence until the given instant means and
// returns it.
func (m *Monitor) Check(at time.Duration) State {
	switch {
	case m.state == StateSuspect:
		if at > m.AvoidAt() {
			m.onTime = 0
		}
	case at > m.SuspectAt():
		m.Suspect(at)
	case at > m.AvoidAt():
		m.state = StateLate
	}
	return m.state
}

// Suspect makes the peer [StateSuspect] on other evidence than silence, such as two
// lost probes or a broken stream.
func (m *Monitor) Suspect(at time.Duration) {
	if m.state == StateSuspect {
		return
	}
	m.state, m.since, m.onTime = StateSuspect, at, 0
	kept := m.recent[:0]
	for _, t := range m.recent {
		if at-t < flapWindow {
			kept = append(kept, t)
		}
	}
	m.recent = append(kept, at)
	switch {
	case len(m.recent) <= flapLimit:
		m.hold = 0
	case m.hold == 0:
		m.hold = m.cfg.HoldDown
	default:
		m.hold = min(2*m.hold, m.cfg.MaxHoldDown)
	}
	if len(m.recent) > 4*flapLimit { // enough to know that it flaps
		m.recent = m.recent[len(m.recent)-2*flapLimit:]
	}
}

// recover ends a suspicion if its conditions are met, and returns the state.
func (m *Monitor) recover(at time.Duration) State {
	if m.onTime >= m.cfg.RecoverAfter && at-m.since >= max(m.cfg.MinSuspicion, m.hold) {
		m.state, m.recovered, m.ramping = StateAlive, at, true
	}
	return m.state
}

// Reset starts anew, as for a peer that restarted.
func (m *Monitor) Reset(at time.Duration) {
	*m = Monitor{Detector: m.Detector}
	m.Detector.Reset(at)
}

// Shift moves the record by the time the caller itself was stalled.
func (m *Monitor) Shift(by time.Duration) { m.Detector.Shift(by) }

// State returns the state as of the last call.
func (m *Monitor) State() State { return m.state }

// Deadline returns the next instant at which [Monitor.Check] has something to
// decide if nothing arrives; ok is false while the peer is [StateSuspect], which
// only arrivals end.
func (m *Monitor) Deadline() (at time.Duration, ok bool) {
	switch m.state {
	case StateAlive:
		return m.AvoidAt(), true
	case StateLate:
		return m.SuspectAt(), true
	}
	return 0, false
}

// Weight returns the share of its normal load the peer should be given: 0 while
// [StateSuspect], a quarter at recovery, growing to 1 within SlowStart.
func (m *Monitor) Weight(at time.Duration) float64 {
	if m.state == StateSuspect {
		return 0
	}
	if !m.ramping || m.cfg.SlowStart <= 0 {
		return 1
	}
	return min(1, startWeight+(1-startWeight)*float64(at-m.recovered)/float64(m.cfg.SlowStart))
}

// HoldDown returns the least time the present or last suspicion lasts because
// the peer flaps; 0 if it does not.
func (m *Monitor) HoldDown() time.Duration { return m.hold }
