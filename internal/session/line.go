package session

import "github.com/rpcnet-go/rpcnet/internal/wire"

// A stream that is woken has room for leastTurn bytes at least and mostTurn at most. With
// less, many streams of small messages would wait once for each message; with more, a
// message would wait long behind the turns of many streams.
const (
	leastTurn, mostTurn = 1 << 10, 32 << 10
	turnRound           = 4 << 20
)

// Lines are where the streams of a [sender] wait, each for what it lacks, and what those
// were promised that were woken. sender.mu guards them.
//
// A stream that is woken finds what it was promised, however late it runs: to others it
// is as if used. So no stream is woken in vain, and a large part does not wait for ever
// behind small messages. When the stream runs it has the rest of its room, its turn, until
// the buffer is taken to be written, so that a quicker one does not use it up.
type lines struct {
	// small wait for room in the write buffer or for credit of the session, to send a
	// message, or the end of one, that is smaller than a part. large do so to send a part.
	small, large line
	// poor lack credit of their own: what comes for others is nothing to them.
	poor line
	// came counts those that have come.
	came uint64
	// promised is what the streams that were woken and do not run yet were promised.
	promised promise
	// running is what is left of the turns of those that run, and round counts how often
	// the buffer was taken.
	running int
	round   uint64
}

// A promise is what streams that were woken will use: room in the write buffer, and
// credit of the session. Units: bytes.
type promise struct {
	// room is that of all, roomLarge that of large parts.
	room, roomLarge int
	credit          int64
}

// A place is where a stream waits, and what it was promised. sender.mu guards it.
type place struct {
	// in is the line. nil: it does not wait.
	in *line
	// next and prev are the neighbours in the line.
	next, prev *sending
	// came orders those of different lines.
	came uint64
	// want is the cost of the frame that is to be sent.
	want int64
	// turn is the room that was promised, with want bytes of credit. 0: none was.
	turn int
	// left is what is left of it in a round, since the stream runs.
	left  int
	round uint64
}

// large reports whether it is a part of a large message that is to be sent.
func (p *place) large() bool { return p.want >= part+wire.FrameCost }

// hasRoom reports whether a write buffer of size bytes has room for a large part or
// another message, beside what was promised.
func (l *lines) hasRoom(size int, large bool) bool {
	if large {
		return size+l.promised.roomLarge < roomBulk
	}
	return size+l.promised.room+l.running < roomSmall
}

// add puts p, which does not wait, into the line of what it lacks.
func (l *lines) add(p *sending) {
	switch {
	case p.credit < p.at.want:
		p.at.in = &l.poor
	case p.at.large():
		p.at.in = &l.large
	default:
		p.at.in = &l.small
	}
	l.came++
	p.at.came = l.came
	p.at.in.add(p)
}

// next returns the first of those that have room in a write buffer of size bytes. nil:
// there is none.
func (l *lines) next(size int) *sending {
	small, large := l.small.first, l.large.first
	if small != nil && !l.hasRoom(size, false) {
		small = nil
	}
	if large != nil && !l.hasRoom(size, true) {
		large = nil
	}
	if small == nil || large != nil && large.at.came < small.at.came {
		return large
	}
	return small
}

// turn returns the room that one of the line for small messages gets: a round of all of
// them takes about turnRound bytes, unless they are too many for that.
func (l *lines) turn() int { return min(max(turnRound/max(l.small.count, 1), leastTurn), mostTurn) }

// give promises p room, turn bytes at least, and credit.
func (l *lines) give(p *sending, turn int) {
	p.at.turn = max(int(p.at.want), turn)
	l.promised.room += p.at.turn
	l.promised.credit += p.at.want
	if p.at.large() {
		l.promised.roomLarge += p.at.turn
	}
}

// redeem makes what p was promised its turn, because it runs, and reports whether there is
// room for what it wants in its turn. That room is used then; if not, its turn is over.
func (l *lines) redeem(p *sending) bool {
	at := &p.at
	if at.turn > 0 {
		l.promised.room -= at.turn
		l.promised.credit -= at.want
		if at.large() {
			l.promised.roomLarge -= at.turn
		}
		l.running += at.turn
		at.left, at.round, at.turn = at.turn, l.round, 0
	}
	if at.round != l.round || int64(at.left) < at.want {
		l.forfeit(p)
		return false
	}
	at.left -= int(at.want)
	l.running -= int(at.want)
	return true
}

// forfeit ends the turn of p, which runs. What is left of it is another's: the caller
// looks who can go on.
func (l *lines) forfeit(p *sending) {
	if p.at.round == l.round {
		l.running -= p.at.left
	}
	p.at.left = 0
}

// taken begins another round: the buffer was taken to be written.
func (l *lines) taken() {
	l.running = 0
	l.round++
}

// count returns how many wait.
func (l *lines) count() int { return l.small.count + l.large.count + l.poor.count }

// each calls f with all that wait. f may take them out.
func (l *lines) each(f func(*sending)) {
	for _, in := range [...]*line{&l.small, &l.large, &l.poor} {
		for p, next := in.first, (*sending)(nil); p != nil; p = next {
			next = p.at.next
			f(p)
		}
	}
}

// A line is a list of streams in the order in which they came. One leaves it at the same
// cost wherever it stands, however many there are.
type line struct {
	first, last *sending
	count       int
}

// add puts p at the end.
func (l *line) add(p *sending) {
	p.at.prev, p.at.next = l.last, nil
	if l.last == nil {
		l.first = p
	} else {
		l.last.at.next = p
	}
	l.last = p
	l.count++
}

// remove takes p out, which is in l.
func (l *line) remove(p *sending) {
	next, prev := p.at.next, p.at.prev
	if prev == nil {
		l.first = next
	} else {
		prev.at.next = next
	}
	if next == nil {
		l.last = prev
	} else {
		next.at.prev = prev
	}
	p.at.in, p.at.next, p.at.prev = nil, nil, nil
	l.count--
}
