package members

import (
	"fmt"
	"testing"
	"time"
)

// An idle node steps its table ten times a second. That must not cost a walk through all
// members: nothing has changed.
func TestATickOfAnIdleTableAllocatesNothing(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	table := New(Config{
		Self: "n00@1", Addr: "127.0.0.1:1", First: true, ProbeInterval: 200 * time.Millisecond, ReconnectFor: time.Hour,
		ForgetAfter: 10 * time.Minute, PartitionWindow: 6 * time.Second, PartitionBaseline: 10 * time.Second,
	})
	for i := range 20 {
		table.Step(Alive{ID: fmt.Sprintf("n%02d@1", i), Addr: fmt.Sprintf("127.0.0.1:%d", i+1)}, now)
	}
	tick := func() {
		now = now.Add(TickInterval)
		table.Step(Tick{}, now)
	}
	for range 150 { // until all count as stable
		tick()
	}
	if n := table.Expected(now); n != 20 {
		t.Fatalf("%d of 20 members are expected", n)
	}
	before := table.Version()
	// The walk of each second allocates what it finds: nothing, here.
	if n := testing.AllocsPerRun(200, tick); n > 0 {
		t.Errorf("%v allocations a tick", n)
	}
	if n := testing.AllocsPerRun(200, func() { table.Step(Answered{ID: "n01@1"}, now) }); n > 0 {
		t.Errorf("%v allocations for an answer", n)
	}
	if table.Version() != before {
		t.Error("the version grows though nothing happens")
	}
	// What happens is looked at in the same tick, or the next.
	table.Step(Tick{Failed: []string{"n01@1", "n02@1", "n03@1", "n04@1"}}, now)
	if table.Version() == before || table.Expected(now) != 16 {
		t.Errorf("%d members are expected after four fell silent", table.Expected(now))
	}
}
