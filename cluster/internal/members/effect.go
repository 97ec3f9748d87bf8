package members

// An Effect is something that the caller of [Table.Step] does, without waiting for it to
// end. All effects are in this file, but for [Event]. Each that asks something names the
// input that reports the answer; until that has come the table does not ask again.
type Effect interface{ effect() }

// Joined says that enough members are in the view, see [Config]. It comes once.
type Joined struct{}

// Listed says that gossip has begun, or ceased, to hold a member alive. The member is
// perhaps shown later, or never: keep the keys of all that are listed.
type Listed struct {
	ID    string
	Alive bool
}

// Moved says that a member, which was at Was, is at Addr now, and the name that its
// certificate carries in place of the address. Was is "" for a new one.
type Moved struct{ ID, Was, Addr, ServerName string }

// Forgotten says that the table does not know a member any more, which was at Addr. It is
// no longer present for a while, so that there is no event.
type Forgotten struct{ ID, Addr string }

// Identify asks which member answers at an address. Report [Identifying] when it is
// being asked and [Identified] in the end.
type Identify struct{ Addr string }

// Compare asks whether two present members of one name both answer at their
// addresses. Report [Compared].
type Compare struct{ Older, Newer Member }

// Verify asks a member that gossip declared dead whether it is there, before this
// node says that it failed: a process that was stopped for a second has often come
// back when the verdict falls. Report [Verified].
type Verify struct{ Member Member }

// Ping asks a suspect again. Report [Answered] if it answers.
type Ping struct{ Member Member }

// ProbeAll asks each of the members directly whether it is there. Report [Probed] for
// each and then [ProbedAll].
type ProbeAll struct{ Members []Member }

// AskMinority asks whether this node goes on assigning work on the smaller side of a
// partition. Report [MinorityDecided].
type AskMinority struct {
	Partition Partition
	Which     int
}

func (Event) effect()       {}
func (Joined) effect()      {}
func (Listed) effect()      {}
func (Moved) effect()       {}
func (Forgotten) effect()   {}
func (Identify) effect()    {}
func (Compare) effect()     {}
func (Verify) effect()      {}
func (Ping) effect()        {}
func (ProbeAll) effect()    {}
func (AskMinority) effect() {}
