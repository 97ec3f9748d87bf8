package cluster

// feedSize is how many events a subscriber may fall behind.
const feedSize = 1024

// A feed keeps the last events of a node, once for all subscribers: each has only
// its place among them, so that one that does not read costs nothing. The node's
// mu guards it.
type feed struct {
	seq     uint64   // number of the last event
	ring    []*Event // the last feedSize, event number i at i % feedSize; immutable events
	changed chan struct{}
	view    []Member // the view after event number viewSeq, for all who ask for it then
	viewSeq uint64
}

func newFeed() feed { return feed{changed: make(chan struct{})} }

// add numbers an event and keeps it.
func (f *feed) add(e *Event) {
	f.seq++
	e.Seq = f.seq
	f.view = nil
	if i := int(f.seq % feedSize); i < len(f.ring) {
		f.ring[i] = e
	} else {
		for len(f.ring) <= i { // number 0 is no event
			f.ring = append(f.ring, nil)
		}
		f.ring[i] = e
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// after returns the event that follows number seq: nil if there is none yet, and
// missed if it is not kept any more.
func (f *feed) after(seq uint64) (e *Event, missed bool) {
	switch {
	case seq == f.seq:
		return nil, false
	case f.seq-seq > feedSize:
		return nil, true
	}
	return f.ring[(seq+1)%feedSize], false
}
