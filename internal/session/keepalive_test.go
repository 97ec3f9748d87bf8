package session

import (
	"testing"
	"time"
)

// A fakeConn has counters that a test moves.
type fakeConn struct{ received, taken, acked uint64 }

func (c *fakeConn) Received() uint64       { return c.received }
func (c *fakeConn) Sent() (uint64, uint64) { return c.taken, c.acked }

// A moment is one step of a keepalive, a second after the one before unless
// after says otherwise.
type moment struct {
	after  time.Duration
	read   bool // a read has brought something
	conn   *fakeConn
	unsent bool
	want   string // "", "ping" or an error
}

// silence is n steps in which nothing comes and nothing is to be done.
func silence(n int) []moment { return make([]moment, n) }

func scenario(parts ...[]moment) (all []moment) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestKeepaliveSteps(t *testing.T) {
	t.Parallel()
	const dead = "the peer has been silent for 10s"
	ping := []moment{{want: "ping"}}
	heard := []moment{{read: true}}
	end := []moment{{want: dead}}
	for name, c := range map[string]struct {
		idle, timeout time.Duration
		measured      bool
		steps         []moment
	}{
		"asked when idle has passed, again as often, and given up": {
			steps: scenario(silence(2), ping, silence(2), ping, silence(2), ping, end),
		},
		"what comes starts the silence over": {
			steps: scenario(silence(2), ping, heard, silence(2), ping, heard, silence(2), ping),
		},
		"off": {idle: -1, steps: silence(100)},
		"asked before it is given up, even if the timeout is shorter": {
			idle: 20 * time.Second, steps: scenario(silence(19), ping, end),
		},
		"a process that was stopped counts two intervals": {
			steps: scenario([]moment{{after: time.Hour}, {want: "ping"}, {after: time.Hour}}, silence(0), []moment{{want: "ping"}}),
		},
		"bytes of an unfinished record are heard": {
			measured: true,
			steps: []moment{
				{}, {}, {conn: &fakeConn{received: 1}}, {}, {}, {want: "ping"}, {conn: &fakeConn{received: 2}}, {}, {}, {want: "ping"},
			},
		},
		"a PING that moves behind what was sent before it is not overdue": {
			measured: true,
			steps: []moment{
				{}, {}, {conn: &fakeConn{taken: 1000, acked: 100}, want: "ping"},
				{conn: &fakeConn{taken: 1000, acked: 200}, unsent: true}, // it waits in the buffer
				{conn: &fakeConn{taken: 1010, acked: 300}},               // it ends at 1010
				{conn: &fakeConn{taken: 1010, acked: 1009}},
				{conn: &fakeConn{taken: 1010, acked: 1010}}, // it has arrived: 3 s of silence count from here
				{}, {want: "ping"}, {}, {}, {want: "ping"}, {want: dead},
			},
		},
		"acknowledgements of what follows the PING are no sign of life": {
			measured: true,
			steps: []moment{
				{}, {}, {conn: &fakeConn{taken: 10, acked: 10}, want: "ping"},
				{conn: &fakeConn{taken: 20, acked: 20}}, {conn: &fakeConn{taken: 30, acked: 30}},
				{conn: &fakeConn{taken: 40, acked: 40}, want: "ping"}, {conn: &fakeConn{taken: 50, acked: 50}},
				{conn: &fakeConn{taken: 60, acked: 60}}, {want: "ping"}, {want: dead},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := keepalive{idle: 3 * time.Second, timeout: 10 * time.Second, longest: 2 * time.Second}
			if c.idle != 0 {
				k.idle = c.idle
			}
			conn := new(fakeConn)
			if c.measured {
				k.conn = conn
			}
			now, read := time.Unix(1000, 0), int64(1)
			k.step(now, read, func() bool { return false }) // the first: nothing has passed yet
			for i, m := range c.steps {
				now = now.Add(max(m.after, time.Second))
				if m.read {
					read++
				}
				if m.conn != nil {
					*conn = *m.conn
				}
				ping, err := k.step(now, read, func() bool { return m.unsent })
				got := ""
				switch {
				case err != nil:
					got = err.Error()
				case ping:
					got = "ping"
				}
				if got != m.want {
					t.Fatalf("step %d: %q, want %q (silent for %v)", i+1, got, m.want, k.silent)
				}
			}
		})
	}
}

func TestStallWatch(t *testing.T) {
	t.Parallel()
	type step struct {
		after   time.Duration
		seq     uint64
		acked   uint64
		stalled bool
	}
	for name, c := range map[string]struct {
		measured bool
		steps    []step
	}{
		"no write is under way":         {steps: []step{{time.Hour, 0, 0, false}, {time.Hour, 2, 0, false}, {time.Hour, 2, 0, false}}},
		"a write that goes nowhere":     {steps: []step{{0, 1, 0, false}, {5 * time.Second, 1, 0, false}, {time.Second, 1, 0, true}}},
		"writes that end":               {steps: []step{{0, 1, 0, false}, {time.Hour, 3, 0, false}, {time.Hour, 5, 0, false}}},
		"a slow write moves":            {true, []step{{0, 1, 10, false}, {5 * time.Second, 1, 11, false}, {5 * time.Second, 1, 12, false}}},
		"a slow write that stops":       {true, []step{{0, 1, 10, false}, {5 * time.Second, 1, 11, false}, {6 * time.Second, 1, 11, true}}},
		"an acknowledgement without it": {true, []step{{0, 1, 10, false}, {time.Hour, 1, 10, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var conn fakeConn
			var measured measuredConn
			if c.measured {
				measured = &conn
			}
			w := stallWatch{timeout: 5 * time.Second}
			now := time.Unix(1000, 0)
			for i, s := range c.steps {
				now = now.Add(s.after)
				conn.acked = s.acked
				if got := w.stalled(now, s.seq, measured); got != s.stalled {
					t.Errorf("step %d: stalled %t", i+1, got)
				}
			}
		})
	}
}
