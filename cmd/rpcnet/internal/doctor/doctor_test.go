package doctor

import (
	"errors"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/version"
)

// What a node sees becomes a finding, with the words that help.
func TestFindingsOfTheViewOfANode(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := func(name, addr string, state cluster.State) cluster.Member {
		return cluster.Member{Name: name, Addr: addr, State: state}
	}
	alive, suspect, failed := cluster.StateAlive, cluster.StateSuspect, cluster.StateFailed
	const ok, warn, fail = StatusOK, StatusWarn, StatusFail
	for _, c := range []struct {
		run  func(*doctor)
		view cluster.Snapshot
		want Status
		text string
	}{
		{func(d *doctor) { d.clock(t.Context()) }, cluster.Snapshot{Time: now.Add(time.Second)}, ok, "the clocks differ by less than 2s"},
		{func(d *doctor) { d.clock(t.Context()) }, cluster.Snapshot{Time: now.Add(-3 * time.Second)}, warn, "the node's clock is 3s behind this machine's"},
		{func(d *doctor) { d.clock(t.Context()) }, cluster.Snapshot{Time: now.Add(72 * time.Hour)}, fail, "the node's clock is 3 days ahead of this machine's"},
		{func(d *doctor) { d.versions(t.Context()) }, cluster.Snapshot{Version: version.Read().Version}, ok, "the node and this command have " + version.Read().Version},
		{func(d *doctor) { d.versions(t.Context()) }, cluster.Snapshot{Version: "v9"}, warn, "the node has v9, this command " + version.Read().Version},
		{func(d *doctor) { d.versions(t.Context()) }, cluster.Snapshot{}, warn, "the node does not say its version: it is older than this command (" + version.Read().Version + ")"},
		{func(d *doctor) { d.conflicts(t.Context()) }, cluster.Snapshot{Members: []cluster.Member{m("a", "1", alive), m("b", "2", alive)}}, ok, "each of the 2 members has a name and an address of its own"},
		{func(d *doctor) { d.conflicts(t.Context()) }, cluster.Snapshot{Members: []cluster.Member{m("a", "1", alive), m("a", "2", alive)}}, fail, "two members have the name a: at 1 and at 2"},
		{func(d *doctor) { d.conflicts(t.Context()) }, cluster.Snapshot{Members: []cluster.Member{m("a", "1", alive), m("b", "1", alive)}}, fail, "a and b advertise the same address, 1"},
		{func(d *doctor) { d.members(t.Context()) }, cluster.Snapshot{Members: []cluster.Member{m("a", "1", alive)}}, ok, "1 present, none suspected or failed"},
		{func(d *doctor) { d.members(t.Context()) }, cluster.Snapshot{Members: []cluster.Member{m("a", "1", suspect)}, Gone: []cluster.Member{m("b", "2", failed), m("c", "3", cluster.StateLeft)}}, warn, "a suspect, b failed"},
		{func(d *doctor) { d.members(t.Context()) }, cluster.Snapshot{Health: 3}, warn, "the node's own health is 3 of 7, 0 is well"},
		{func(d *doctor) { d.partition(t.Context()) }, cluster.Snapshot{}, ok, "none"},
		{func(d *doctor) { d.partition(t.Context()) }, cluster.Snapshot{Partition: &cluster.Partition{Side: "minority", Expected: 3, Reachable: []string{"a"}, Lost: []string{"b", "c"}}}, fail,
			(&cluster.Partition{Side: "minority", Expected: 3, Reachable: []string{"a"}, Lost: []string{"b", "c"}}).String()},
		{func(d *doctor) { d.workers(t.Context()) }, cluster.Snapshot{}, ok, "the node does not choose among workers"},
		{func(d *doctor) { d.workers(t.Context()) }, cluster.Snapshot{Workers: []cluster.WorkerSnapshot{{Name: "a", Ready: true}}}, ok, "all 1 can be chosen"},
		{func(d *doctor) { d.workers(t.Context()) }, cluster.Snapshot{Workers: []cluster.WorkerSnapshot{{Name: "a", Ready: true}, {Name: "b", Status: "unreachable", Reason: "refused"}}}, warn,
			"1 can be chosen; b: unreachable (refused)"},
	} {
		var got Finding
		d := &doctor{Config: Config{Report: func(f Finding) { got = f }}, well: true, view: &c.view, asked: now}
		c.run(d)
		if got.Status != c.want || got.Text != c.text || (got.Fix == "") != (c.want == ok) || d.well != (c.want != fail) {
			t.Errorf("%v %q, fix %q, well %v; want %v %q", got.Status, got.Text, got.Fix, d.well, c.want, c.text)
		}
	}
}

func TestListsAndTimesAreForPeople(t *testing.T) {
	t.Parallel()
	if got := list([]string{"a", "b", "c", "d", "e", "f", "g"}); got != "a, b, c, d, e and 2 more" {
		t.Error(got)
	}
	for d, want := range map[time.Duration]string{
		123456 * time.Nanosecond: "120µs", 1234 * time.Millisecond: "1.2s", 61 * time.Minute: "1h1m0s", 49 * time.Hour: "2 days",
	} {
		if got := people(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// A step that needs an earlier one that failed says so, and is no failure of its own.
func TestNothingIsExaminedBehindAStepThatFailed(t *testing.T) {
	t.Parallel()
	var found []Finding
	well := Run(t.Context(), Config{
		Addr: "127.0.0.1:1", Cert: "none", Key: "none", CA: "none", Timeout: 10 * time.Second, Now: time.Now,
		Report: func(f Finding) { found = append(found, f) },
	})
	if well || len(found) != 22 || found[0].Status != StatusFail || found[0].Fix == "" {
		t.Fatalf("%v, %d findings, %+v", well, len(found), errors.New("the first one should fail"))
	}
	for _, f := range found {
		if f.Status == StatusFail && f.Step != "files" && f.Step != "tcp" {
			t.Errorf("%+v", f)
		}
	}
}
