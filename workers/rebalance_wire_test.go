package workers

import "testing"

func TestRequestsToHandOverSurviveTheWire(t *testing.T) {
	t.Parallel()
	for _, r := range []handoverRequest{{}, {1<<64 - 1, maxHandover}, {7, 3}} {
		if got, err := parseHandoverRequest(r.append(nil)); err != nil || got != r {
			t.Errorf("got %+v, %v, want %+v", got, err, r)
		}
	}
	later := append(handoverRequest{7, 3}.append(nil), 1, 2, 3) // of a newer balancer
	if got, err := parseHandoverRequest(later); err != nil || got.streams != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	version := handoverRequest{7, 3}.append(nil)
	version[0]++
	for what, b := range map[string][]byte{
		"nothing": nil, "another version": version, "no number": handoverRequest{}.append(nil)[:9],
		"too many": handoverRequest{1, maxHandover + 1}.append(nil), "too long": append(later, make([]byte, 64)...),
	} {
		if _, err := parseHandoverRequest(b); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
	for _, a := range []handoverAnswer{{}, {maxHandover, true}, {1, false}} {
		if got, err := parseHandoverAnswer(a.append(nil)); err != nil || got != a {
			t.Errorf("got %+v, %v, want %+v", got, err, a)
		}
	}
	for what, b := range map[string][]byte{"nothing": nil, "half": {1}, "no truth": {1, 2}, "too many": handoverAnswer{moved: maxHandover + 1}.append(nil)} {
		if _, err := parseHandoverAnswer(b); err == nil {
			t.Errorf("an answer with %s was accepted", what)
		}
	}
}

func FuzzHandover(f *testing.F) {
	f.Add(handoverRequest{1, 2}.append(nil))
	f.Add(handoverAnswer{3, true}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseHandoverRequest(b); err == nil {
			if again, err := parseHandoverRequest(r.append(nil)); err != nil || again != r {
				t.Fatalf("%+v became %+v, %v", r, again, err)
			}
		}
		if a, err := parseHandoverAnswer(b); err == nil {
			if again, err := parseHandoverAnswer(a.append(nil)); err != nil || again != a {
				t.Fatalf("%+v became %+v, %v", a, again, err)
			}
		}
	})
}
