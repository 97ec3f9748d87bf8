package session

import "sync/atomic"

// A table finds the streams of a session by their ids, without a lock: ids are
// small numbers that are used again, so that a slice serves, in chunks that are
// made when the first id of theirs is used.
//
// A cell holds the stream that has the id, or nil. Who loads a stream from it
// must lock the stream and look at its owner and id, since it may end and serve
// another call meanwhile: [Session.stream] does.
type table struct{ chunks []atomic.Pointer[chunk] }

// chunkSize is how many cells are made at a time: half a kilobyte of them.
const chunkSize = 64

type (
	chunk [chunkSize]cell
	cell  = atomic.Pointer[Stream]
)

// init makes room for the ids 1 to limit.
func (t *table) init(limit uint64) {
	t.chunks = make([]atomic.Pointer[chunk], (limit+chunkSize-1)/chunkSize)
}

// at returns the cell of an id, or nil if the id is out of range or no id of its
// chunk was ever used.
func (t *table) at(id uint32) *cell {
	i := int(id) - 1
	if i < 0 || i/chunkSize >= len(t.chunks) {
		return nil
	}
	c := t.chunks[i/chunkSize].Load()
	if c == nil {
		return nil
	}
	return &c[i%chunkSize]
}

// make returns the cell of an id for a new stream, or nil if the id is out of
// range.
func (t *table) make(id uint32) *cell {
	i := int(id) - 1
	if i < 0 || i/chunkSize >= len(t.chunks) {
		return nil
	}
	place := &t.chunks[i/chunkSize]
	if place.Load() == nil {
		place.CompareAndSwap(nil, new(chunk)) // callers make streams at the same time
	}
	return &place.Load()[i%chunkSize]
}

// each calls f with every stream. If one has ended meanwhile, it can be another
// session's: f must lock it and look at its owner.
func (t *table) each(f func(*Stream)) {
	for i := range t.chunks {
		c := t.chunks[i].Load()
		if c == nil {
			continue
		}
		for j := range c {
			if st := c[j].Load(); st != nil {
				f(st)
			}
		}
	}
}
