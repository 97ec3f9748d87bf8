package workers

import (
	"testing"
	"time"
)

func TestHelloOfAControlStreamSurvivesTheWire(t *testing.T) {
	t.Parallel()
	for _, h := range []reportHello{{}, {1<<64 - 1, [16]byte{0: 1, 15: 255}, 1 << 20, maxHeartbeat}, {7, [16]byte{}, 3, 50 * time.Millisecond}} {
		if got, err := parseReportHello(h.append(nil)); err != nil || got != h {
			t.Errorf("got %+v, %v, want %+v", got, err, h)
		}
	}
	for _, h := range []reportHello{{workers: 1<<20 + 1}, {heartbeat: maxHeartbeat + time.Second}} {
		if _, err := parseReportHello(h.append(nil)); err == nil {
			t.Errorf("%+v was accepted", h)
		}
	}
	b := reportHello{balancer: 1}.append(nil)
	b[0] = 9
	if _, err := parseReportHello(b); err == nil {
		t.Error("another version was accepted")
	}
}

func FuzzWatchHello(f *testing.F) {
	f.Add(reportHello{1, [16]byte{3}, 2, time.Second}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseReportHello(b)
		if err != nil {
			return
		}
		if again, err := parseReportHello(h.append(nil)); err != nil || again != h {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}
