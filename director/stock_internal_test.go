package director

import (
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/directorv1"
	"github.com/rpcnet-go/rpcnet/internal/load"
)

// stocked returns a stock of n slots of each worker, which can be used until then.
func stocked(n int, until time.Time, names ...string) *stock {
	s := new(stock)
	for _, name := range names {
		of := &leased{Worker: directorv1.Worker{Name: name, Boot: "1"}, until: until}
		for i := range n {
			s.slots = append(s.slots, slot{of: of, number: uint64(i)})
		}
	}
	return s
}

// TestAStockGoesByTheRateOfCalls: a client that calls rarely leases nothing, and the stock
// of one that calls often is for some milliseconds, and bounded.
func TestAStockGoesByTheRateOfCalls(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		perSecond int
		trip      time.Duration
		want      int
	}{
		{100, 0, 0},
		{2000, 0, 20},
		{2000, 5 * time.Millisecond, 40},
		{2000, time.Second, 80},
		{1_000_000, 0, maxStock},
	} {
		s, now := &stock{trip: c.trip}, time.Now()
		gap := time.Second / time.Duration(c.perSecond)
		for range c.perSecond / 2 {
			now = now.Add(gap)
			s.count(now)
		}
		if n := s.wants(now); n < c.want*8/10 || n > c.want*12/10 {
			t.Errorf("%d calls a second, a round trip of %v: wants %d, want about %d", c.perSecond, c.trip, n, c.want)
		}
		s.arrived = make(chan struct{})
		if n := s.wants(now); n > 0 {
			t.Errorf("wants %d more while a lease is under way", n)
		}
		s.arrived, s.again = nil, now.Add(time.Millisecond)
		if n := s.wants(now); n > 0 {
			t.Errorf("wants %d in the pause", n)
		}
		// The first call after an hour shows that the rate is another one.
		s.again, now = time.Time{}, now.Add(time.Hour)
		s.count(now)
		if n := s.wants(now); n > 0 {
			t.Errorf("wants %d after an hour", n)
		}
	}
}

// TestSlotsThatHaveExpiredAreNotUsed: they are handed out as expired, once.
func TestSlotsThatHaveExpiredAreNotUsed(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := stocked(3, now, "old")
	s.add(stocked(2, now.Add(time.Second), "new").slots)
	next, expired, ok := s.take(now.Add(time.Millisecond))
	if !ok || next.of.Name != "new" || len(expired) != 3 || len(s.slots) != 1 {
		t.Errorf("%+v, %d expired, %d left", next, len(expired), len(s.slots))
	}
	if _, expired, ok = s.take(now.Add(time.Minute)); ok || len(expired) != 1 || len(s.slots) != 0 {
		t.Errorf("a slot, or %d expired, %d left", len(expired), len(s.slots))
	}
}

// TestRevokedSlotsLeaveTheStock: those of a life of a worker do, in every stock, and those of
// a later life stay.
func TestRevokedSlotsLeaveTheStock(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(time.Second)
	s := stocked(2, until, "a", "b")
	later := stocked(1, until, "a")
	later.slots[0].of.Boot = "2"
	s.add(later.slots)
	l := leases{stocks: map[string]*stock{"": s}}
	of := s.slots[0].of
	l.revoke(of)
	if len(s.slots) != 3 || len(l.spent) != 1 || len(of.spent) != 2 || !of.revoked {
		t.Errorf("%d slots left, %d tickets of %d workers to be given back", len(s.slots), len(of.spent), len(l.spent))
	}
	spent := l.spentAt(0)
	if len(spent) != 1 || spent[0].Worker != "a" || len(spent[0].Numbers) != 2 || len(l.spent) != 0 {
		t.Errorf("gives back %+v", spent)
	}
}

// TestWhatIsToBeGivenBackIsBounded: while no director takes it, the oldest is forgotten.
func TestWhatIsToBeGivenBackIsBounded(t *testing.T) {
	t.Parallel()
	var l leases
	for range 3 * maxSpent {
		l.spendOne(&leased{director: 1}, 1)
	}
	if len(l.spent) != maxSpent {
		t.Errorf("%d workers listed, want %d", len(l.spent), maxSpent)
	}
	if spent := l.spentAt(0); len(spent) != 0 || len(l.spent) != maxSpent {
		t.Errorf("%d of another director", len(spent))
	}
	if spent := l.spentAt(1); len(spent) != maxSpentAtOnce || len(l.spent) != maxSpent-maxSpentAtOnce {
		t.Errorf("%d at once, %d left", len(spent), len(l.spent))
	}
}

// TestALeaseOfABrokenDirectorIsRefused: slots without tickets, or without workers.
func TestALeaseOfABrokenDirectorIsRefused(t *testing.T) {
	t.Parallel()
	ticket := load.Ticket{Balancer: 1, Number: 7}.Append(nil)
	one := make([]directorv1.Worker, 1)
	for what, res := range map[string]*directorv1.LeaseResponse{
		"no worker":   {Slots: directorv1.AppendSlot(nil, 0, ticket)},
		"no ticket":   {Workers: one, Slots: directorv1.AppendSlot(nil, 0, nil)},
		"half a slot": {Workers: one, Slots: directorv1.AppendSlot(nil, 0, ticket)[:9]},
	} {
		if _, _, err := slotsOf(res, 0, time.Now()); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	now := time.Now()
	_, slots, err := slotsOf(&directorv1.LeaseResponse{Millis: 1 << 31, Workers: one, Slots: directorv1.AppendSlot(nil, 0, ticket)}, 0, now)
	if err != nil || len(slots) != 1 || slots[0].number != 7 || slots[0].of.until.After(now.Add(load.ClaimWithin)) {
		t.Errorf("%+v, %v", slots, err)
	}
}
