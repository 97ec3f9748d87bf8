package directorv1

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/internal/load"
)

// decode decodes b as a message of the contract.
func decode[T any](m codegen.Message, b []byte) (*T, error) {
	v := new(T)
	var d cbor.Decoder
	d.Reset(b, cbor.Limits{})
	m.Decode(&d, v)
	return v, d.Finish()
}

func fuzz[T any](f *testing.F, m codegen.Message, seed *T, check func(t *testing.T, v *T)) {
	b, err := m.Append(nil, seed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decode[T](m, b)
		if err != nil {
			return
		}
		check(t, v)
		again, err := m.Append(nil, v)
		if err != nil {
			t.Fatalf("%+v is not encoded again: %v", v, err)
		}
		if w, err := decode[T](m, again); err != nil || !reflect.DeepEqual(v, w) {
			t.Fatalf("%+v became %+v, %v", v, w, err)
		}
	})
}

// FuzzRequest: what a client says is within the bounds of the contract.
func FuzzRequest(f *testing.F) {
	fuzz(f, directorGetWorkerSpec.Request, &GetWorkerRequest{Selector: "a=b", Exclude: []string{"w"},
		Failures: []Failure{{"w", "1"}}, Unused: []Unused{{"w", []byte{1}}}}, func(t *testing.T, v *GetWorkerRequest) {
		if len(v.Selector) > 4096 || len(v.Exclude) > 256 || len(v.Failures) > 256 || len(v.Unused) > 256 || len(v.Key) > 1024 || len(v.Hint) > 256 {
			t.Errorf("over its bounds: %+v", v)
		}
	})
}

// FuzzResponse: what a director says is within the bounds of the contract.
func FuzzResponse(f *testing.F) {
	w := Worker{"c", "worker-a", "1", "127.0.0.1:1", "a.example"}
	fuzz(f, directorGetWorkerSpec.Response, &GetWorkerResponse{Worker: w, Ticket: []byte{1}, Alternates: []Worker{w}}, func(t *testing.T, v *GetWorkerResponse) {
		if len(v.Alternates) > 8 || len(v.Ticket) > 64 || len(v.Worker.Name) > 128 || len(v.Worker.Boot) > 64 || len(v.Worker.Addr) > 272 || len(v.Worker.ServerName) > 2048 {
			t.Errorf("over its bounds: %+v", v)
		}
	})
}

// FuzzLeaseRequest: what a client says for a lease is within the bounds of the contract.
func FuzzLeaseRequest(f *testing.F) {
	fuzz(f, directorLeaseSpec.Request, &LeaseRequest{Selector: "a=b", Want: 7, Failures: []Failure{{"w", "1"}},
		Unused: []Unused{{"w", []byte{1}}}, Spent: []Spent{{"w", 7, []uint64{1, 1 << 40}}}}, func(t *testing.T, v *LeaseRequest) {
		if len(v.Selector) > 4096 || len(v.Failures) > 256 || len(v.Unused) > 256 || len(v.Spent) > 128 {
			t.Errorf("over its bounds: %+v", v)
		}
		for _, s := range v.Spent {
			if len(s.Worker) > 128 || len(s.Numbers) > MaxSlots {
				t.Errorf("over its bounds: %+v", s)
			}
		}
	})
}

// FuzzLeaseResponse: what a director leases is within the bounds of the contract, and each
// slot has a worker and a ticket that are there.
func FuzzLeaseResponse(f *testing.F) {
	w := Worker{"c", "worker-a", "1", "127.0.0.1:1", "a.example"}
	slots := AppendSlot(AppendSlot(nil, 1, []byte("ticket")), 0, nil)
	fuzz(f, directorLeaseSpec.Response, &LeaseResponse{Millis: 100, Workers: []Worker{w, w}, Slots: slots}, func(t *testing.T, v *LeaseResponse) {
		if len(v.Workers) > MaxLeased || len(v.Slots) > MaxSlots*MaxSlotSize {
			t.Errorf("over its bounds: %+v", v)
		}
		n := 0
		var again []byte
		err := ParseSlots(v, func(worker int, ticket []byte) {
			if n++; worker >= len(v.Workers) || n > MaxSlots {
				t.Errorf("slot %d is of worker %d of %d", n, worker, len(v.Workers))
			}
			again = AppendSlot(again, worker, ticket)
		})
		if err == nil && !bytes.Equal(again, v.Slots) {
			t.Errorf("%x became %x", v.Slots, again)
		}
	})
}

// TestSlotsThatDoNotHoldTogetherAreRefused: each of these is what a broken director sends.
func TestSlotsThatDoNotHoldTogetherAreRefused(t *testing.T) {
	t.Parallel()
	whole := AppendSlot(nil, 0, []byte("ticket"))
	for what, slots := range map[string][]byte{
		"half a head":    {0},
		"half a ticket":  whole[:len(whole)-1],
		"no such worker": AppendSlot(nil, 1, []byte("ticket")),
		"too many":       bytes.Repeat(AppendSlot(nil, 0, nil), MaxSlots+1),
	} {
		if err := ParseSlots(&LeaseResponse{Workers: make([]Worker, 1), Slots: slots}, func(int, []byte) {}); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if err := ParseSlots(&LeaseResponse{Workers: make([]Worker, 1), Slots: bytes.Repeat(whole, MaxSlots)}, func(int, []byte) {}); err != nil {
		t.Errorf("%d whole slots: %v", MaxSlots, err)
	}
	if most := MaxSlotSize - 2; most < load.MaxTicketSize {
		t.Errorf("a slot is sized for tickets of %d bytes, they have up to %d", most, load.MaxTicketSize)
	}
}

// TestALongRequestIsWithinTheBoundOfItsSize: all that a client may tell at once.
func TestALongRequestIsWithinTheBoundOfItsSize(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return strings.Repeat("x", n) }
	req := &GetWorkerRequest{Selector: text(4096), Key: text(1024), Hint: text(256)}
	for range 256 {
		req.Exclude = append(req.Exclude, text(128))
		req.Failures = append(req.Failures, Failure{text(128), text(64)})
		req.Unused = append(req.Unused, Unused{text(128), []byte(text(64))})
	}
	b, err := directorGetWorkerSpec.Request.Append(nil, req)
	if err != nil || len(b) > directorGetWorkerSpec.MaxMessageSize {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, err := decode[GetWorkerRequest](directorGetWorkerSpec.Request, b); err != nil {
		t.Error(err)
	}
	lease := &LeaseRequest{Selector: req.Selector, Want: 1 << 31, Failures: req.Failures, Unused: req.Unused}
	for range 128 {
		lease.Spent = append(lease.Spent, Spent{text(128), 1 << 63, slices.Repeat([]uint64{1 << 63}, MaxSlots)})
	}
	if b, err = directorLeaseSpec.Request.Append(nil, lease); err != nil || len(b) > directorLeaseSpec.MaxMessageSize {
		t.Errorf("lease: %d bytes, %v", len(b), err)
	}
	if _, err := decode[LeaseRequest](directorLeaseSpec.Request, b); err != nil {
		t.Error(err)
	}
}
