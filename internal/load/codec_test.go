package load_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/load"
)

func TestReportSurvivesTheWire(t *testing.T) {
	t.Parallel()
	for _, r := range []load.Report{
		{},
		{Epoch: 1<<64 - 1, Seq: 1<<64 - 1, State: load.StateDraining, Snapshot: true, Capacity: 16, InFlight: 9, Queued: 2, Yours: 3,
			Balancers: 4, MeanService: 1700 * ms, QueueDelay: 3 * ms, Interval: 50 * ms, Claimed: []uint64{1, 300, 1 << 60}},
	} {
		b := r.Append(nil)
		got, err := load.ParseReport(b)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("got %+v, %v, want %+v", got, err, r)
		}
		for n := range b {
			if _, err := load.ParseReport(b[:n]); err == nil {
				t.Errorf("%d of %d bytes were accepted", n, len(b))
			}
		}
		if _, err := load.ParseReport(append(b, 1, 2, 3)); err != nil {
			t.Errorf("what a newer worker adds: %v", err)
		}
	}
}

func TestTypicalReportIsSmall(t *testing.T) {
	t.Parallel()
	r := load.Report{Epoch: 1 << 63, Seq: 100000, Capacity: 16, InFlight: 12, Yours: 4, Balancers: 3, MeanService: 2 * second, Interval: 50 * ms}
	if n := len(r.Append(nil)); n > 40 {
		t.Errorf("%d bytes", n)
	}
}

func TestReportsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]load.Report{
		"more yours than all":   {InFlight: 1, Yours: 2},
		"more queued than all":  {InFlight: 1, Queued: 2},
		"a count out of reason": {InFlight: 1<<31 + 1},
		"a mean of years":       {MeanService: 1e6 * 3600 * second},
		"too many tickets":      {Claimed: make([]uint64, load.MaxClaimed+1)},
	} {
		if _, err := load.ParseReport(r.Append(nil)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	b := (&load.Report{}).Append(nil)
	b[0] = 9
	if _, err := load.ParseReport(b); err == nil {
		t.Error("another version was accepted")
	}
}

func TestTicketSurvivesTheWire(t *testing.T) {
	t.Parallel()
	for _, k := range []load.Ticket{{}, {Balancer: 1<<64 - 1, Number: 1<<64 - 1, WaitInQueue: true, Tag: [load.TagSize]byte{0: 1, 15: 255}}} {
		b := k.Append(nil)
		if got, err := load.ParseTicket(b); err != nil || got != k || len(b) > load.MaxTicketSize {
			t.Errorf("got %+v, %v in %d bytes, want %+v", got, err, len(b), k)
		}
		if _, err := load.ParseTicket(append(b, 0)); err == nil {
			t.Error("a byte too many was accepted")
		}
		if _, err := load.ParseTicket(b[:9+load.TagSize]); err == nil {
			t.Error("a ticket without a number was accepted")
		}
	}
}

func FuzzParseReport(f *testing.F) {
	r := load.Report{Epoch: 7, Seq: 9, InFlight: 5, Claimed: []uint64{1, 2}}
	f.Add(r.Append(nil))
	f.Add([]byte{1, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := load.ParseReport(b)
		if err != nil {
			return
		}
		again, err := load.ParseReport(r.Append(nil))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%+v became %+v, %v", r, again, err)
		}
	})
}

func FuzzParseTicket(f *testing.F) {
	f.Add(load.Ticket{Balancer: 1, Number: 2}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := load.ParseTicket(b)
		if err != nil {
			return
		}
		if got, err := load.ParseTicket(k.Append(nil)); err != nil || got != k {
			t.Fatalf("%x became %x", b, bytes.Clone(k.Append(nil)))
		}
	})
}
