package transcript_test

import (
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/transcript"
)

func TestParseTokenReadsWhatReceivedWrites(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"token-1", "", `a "quoted" \ word`, "größe 🦊"} {
		line := "15:04:05.000 INF " + transcript.Received(7, text, 9) + " worker=worker-a"
		got, ok := transcript.ParseToken(line)
		if want := (transcript.Token{Sequence: 7, Text: text}); !ok || got != want {
			t.Errorf("%q: %v, %v", line, got, ok)
		}
	}
	if s := transcript.Received(1, "token-1", 1); s != `📦 received token (sequence=1, text="token-1", total=1)` {
		t.Errorf("message %q", s)
	}
	if _, ok := transcript.ParseToken("📤 creating request stream"); ok {
		t.Error("another line is taken for a token")
	}
}

func TestTally(t *testing.T) {
	t.Parallel()
	const connect = 0 // in a sequence: a connection to a worker
	for _, c := range []struct {
		name     string
		sequence []uint64
		want     transcript.Tally
	}{
		{"undisturbed", []uint64{connect, 1, 2, 3}, transcript.Tally{Tokens: 3, Gap: time.Second}},
		{"switch", []uint64{connect, 1, connect, connect, 2}, transcript.Tally{Tokens: 2, Switches: 2, Gap: 3 * time.Second}},
		{"lost", []uint64{connect, 2, 5}, transcript.Tally{Tokens: 2, Lost: 3, Gap: time.Second}},
		{"twice", []uint64{connect, 1, 2, connect, 2, 3}, transcript.Tally{Tokens: 4, Twice: 1, Switches: 1, Gap: 2 * time.Second}},
		{"restarted", []uint64{connect, 1, 2, connect, 1, 2, 3}, transcript.Tally{Tokens: 5, Twice: 2, Switches: 1, Gap: 2 * time.Second}},
		{"nothing", nil, transcript.Tally{}},
	} {
		var got transcript.Tally
		for i, n := range c.sequence {
			line := "INF " + transcript.Established + " addr=x"
			if n != connect {
				line = transcript.Received(n, "x", n)
			}
			got.Line(time.Unix(int64(i), 0), line)
		}
		if got.Tokens != c.want.Tokens || got.Lost != c.want.Lost || got.Twice != c.want.Twice || got.Switches != c.want.Switches || got.Gap != c.want.Gap {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		if got.Whole() != (c.want.Lost == 0 && c.want.Twice == 0) {
			t.Errorf("%s: whole %v", c.name, got.Whole())
		}
	}
}
