package cluster

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster/internal/members"
)

// The table's numbers of states and kinds are those of the public ones, which it is
// converted to.
func TestTheTablesWordsAreThePublicOnes(t *testing.T) {
	t.Parallel()
	for in, public := range map[members.State]State{
		members.StateAlive: StateAlive, members.StateSuspect: StateSuspect, members.StateLeaving: StateLeaving,
		members.StateLeft: StateLeft, members.StateFailed: StateFailed,
	} {
		if State(in) != public || in.Present() != public.Present() {
			t.Errorf("the table's state %d is %v", in, public)
		}
	}
	kinds := map[members.Kind]Kind{
		members.KindNodeJoined: KindNodeJoined, members.KindNodeUpdated: KindNodeUpdated,
		members.KindNodeSuspected: KindNodeSuspected, members.KindNodeRecovered: KindNodeRecovered,
		members.KindNodeLeft: KindNodeLeft, members.KindNodeFailed: KindNodeFailed,
		members.KindNameConflict: KindNameConflict, members.KindSelfDegraded: KindSelfDegraded,
		members.KindPartitionSuspected: KindPartitionSuspected, members.KindPartitionDetected: KindPartitionDetected,
		members.KindPartitionHealed: KindPartitionHealed,
	}
	for in, public := range kinds {
		if Kind(in) != public {
			t.Errorf("the table's kind %d is %v", in, public)
		}
	}
	if len(stateNames) != members.NumStates || len(kindNames) != len(kinds)+1 { // KindResync is the feed's
		t.Errorf("%d states and %d kinds, %d and %d of them in the table", len(stateNames), len(kindNames), members.NumStates, len(kinds))
	}
}

// OnMinority may answer after the node has stopped: the view stays as it was last.
func TestAnAnswerOfOnMinorityAfterTheEndIsNotHeard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan bool)
		n := &Node{id: "a@1", inbox: inbox{wake: make(chan struct{}, 1)}}
		n.cfg.Metrics = n.cfg.Metrics.complete()
		n.cfg.Partition.OnMinority = func(Partition) bool { return <-answer }
		n.life = newLifecycle(n)
		n.view = newView(n, true)
		ask := func() {
			n.view.mu.Lock()
			defer n.view.mu.Unlock()
			n.view.do(members.AskMinority{})
		}
		ask()
		answer <- false
		synctest.Wait()
		if n.Assigns() {
			t.Error("the answer was not heard")
		}
		ask()
		close(n.life.stop)
		answer <- true
		synctest.Wait()
		if n.Assigns() {
			t.Error("the answer was heard after the end")
		}
	})
}

// Nothing that an event of the table says is lost on the way to its public form.
func TestAPublicEventSaysAllThatTheTablesSays(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	m := members.Member{Name: "b", Boot: "2", Addr: "10.0.0.1:1", ServerName: "b.example", Tags: map[string]string{"k": "v"},
		State: members.StateSuspect, Since: now, Joined: now}
	was := m
	was.State = members.StateLeft
	e := publicEvent(members.Event{Time: now, Kind: members.KindNodeSuspected, Member: m, Was: was, Cause: members.CausePhi, Phi: 9,
		Duration: time.Second, Health: 3, Partition: &members.Partition{Side: members.SideMinority}})
	for _, v := range []any{*e, e.Member, e.Was} {
		s := reflect.ValueOf(v)
		for i := range s.NumField() {
			switch name := s.Type().Field(i).Name; name {
			case "Seq", "Initial", "Members": // the feed's
			default:
				if s.Field(i).IsZero() {
					t.Errorf("%s.%s is lost", s.Type(), name)
				}
			}
		}
	}
	if e.Member.State != StateSuspect || e.Was.State != StateLeft || e.Partition.Side != "minority" {
		t.Errorf("got %+v", e)
	}
}
