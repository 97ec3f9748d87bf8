package session

// A partial is a large message while its parts come. It is guarded by Stream.mu.
//
// Its memory grows with what has come, never with what the peer says will come.
type partial struct {
	// b is what has come. A part that is being read counts already. It is nil while the
	// reader fills it: see take.
	b []byte
	// cost is the credit of the parts that was not returned.
	cost int64
	// held is how many bytes count as buffered: the room of b, and perMessage.
	held int64
	// coming: a part has come, and the last has not. If not, all else is zero.
	coming bool
}

// charge returns how many bytes more count as buffered when a part of n bytes comes:
// what the room of the message grows by.
func (p *partial) charge(n int, more bool) int64 {
	have := cap(p.b)
	held := int64(partRoom(have, len(p.b)+n, more) - have)
	if !p.coming {
		held += perMessage
	}
	return held
}

// extend makes room for a part of n bytes, for which charge was held bytes, and returns
// the room.
func (p *partial) extend(n int, held int64, more bool) (dst []byte) {
	if !p.coming {
		p.coming, p.cost, p.held = true, 0, 0
	}
	p.held += held
	size := len(p.b)
	p.b = growPart(p.b, size+n, more)
	return p.b[size:]
}

// take returns the memory of the message, which is the reader's from here until it sets
// b again: it fills the memory without the lock, and the stream may end meanwhile.
func (p *partial) take() []byte {
	b := p.b
	p.b = nil
	return b
}

// drop returns how many bytes counted as buffered, and forgets the message. Its memory
// goes back, unless the reader has it.
func (p *partial) drop() (held int64) {
	held = p.held
	putBig(p.b)
	*p = partial{}
	return held
}

// partRoom is the room that a large message of size bytes so far, which has some
// already, is to have: if more follow four times as much while it is little, so
// that little is copied. A peer that sends smaller parts than this package does gets
// no more than twice their size, or it could make much memory wait for few bytes.
func partRoom(have, size int, more bool) int {
	room := size
	switch {
	case size <= have:
		return have
	case !more: // the last part: no room for others
	case size < bulk:
		room = 2 * size
	case have < 2*part:
		room = max(size, 2*part)
	case have < 1<<20:
		room = max(size, 4*have)
	}
	if room >= bulk {
		room = bigCap(room) // the sizes that getBig has
	}
	return room
}

// growPart returns b, which holds a large message so far, with size bytes. It gives b
// back if it takes another buffer.
func growPart(b []byte, size int, more bool) []byte {
	if size <= cap(b) {
		return b[:size]
	}
	room := partRoom(cap(b), size, more)
	var grown []byte
	if room >= bulk {
		grown = getBig(room)[:size]
	} else {
		grown = make([]byte, size, room)
	}
	copy(grown, b)
	putBig(b)
	return grown
}
