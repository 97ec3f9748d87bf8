package load_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
)

// ejected returns a health whose first ejection, at 0, is over at 5 s.
func ejected(t *testing.T) *load.Health {
	t.Helper()
	var h load.Health
	for range 5 {
		h.Failure(0)
	}
	if h.Available(5*second-ms) || !h.Available(5*second) {
		t.Fatal("not ejected for 5 s")
	}
	return &h
}

func TestBadNewsOfOldCallsDoesNotFailATrialThatWasNotGiven(t *testing.T) {
	t.Parallel()
	h := ejected(t)
	for i := range 9 { // calls that were running when it was ejected
		if h.Failure(time.Second) || h.Complaint(4*second, strconv.Itoa(i)) {
			t.Fatal("ejected while it is")
		}
	}
	if h.Complaint(6*second, "1") || h.Complaint(7*second, "1") || !h.Available(7*second) {
		t.Fatal("one caller that complains before the trial ejects")
	}
	for range 4 {
		if h.Failure(8 * second) {
			t.Fatal("fewer than 5 failures before the trial eject")
		}
	}
	if !h.Failure(8*second) || h.Available(18*second-ms) || !h.Available(18*second) {
		t.Fatal("5 failures in a row after the time is over do not eject for 10 s")
	}
	if h.Complaint(19*second, "1") || !h.Complaint(20*second, "2") || h.Available(40*second-ms) || !h.Available(40*second) {
		t.Fatal("two callers that agree after the time is over do not eject for 20 s")
	}
}

func TestAComplaintThatHasEjectedDoesNotCountAgain(t *testing.T) {
	t.Parallel()
	var h load.Health
	if h.Complaint(second, "1") || !h.Complaint(2*second, "2") {
		t.Fatal("two callers agree, and it stays")
	}
	if h.Complaint(8*second, "3") {
		t.Error("one further caller ejects, together with one who was heard before")
	}
}

func TestAComplaintLongAfterTheTrialIsNotOfIt(t *testing.T) {
	t.Parallel()
	h := ejected(t)
	h.Picked(5*second, "1")
	if h.Complaint(10*second, "1") || !h.Available(10*second) {
		t.Error("a complaint 5 s after the trial ejects by itself")
	}
	h = ejected(t)
	h.Picked(5*second, "1")
	if !h.Complaint(10*second-ms, "1") {
		t.Error("a complaint within 5 s of the trial does not eject")
	}
	h = ejected(t)
	h.Picked(5*second, "1")
	if !h.Failure(time.Minute) {
		t.Error("the trial itself failed late, and nobody was ejected")
	}
}
