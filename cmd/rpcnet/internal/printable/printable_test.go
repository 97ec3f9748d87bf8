package printable

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLineEscapesWhatIsNotVisibleAndCuts(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                       "",
		"worker-a":               "worker-a",
		"größe 日本":               "größe 日本",
		"a\nb\tc":                `a\nb\tc`,
		"\x1b[31mred":            `\x1b[31mred`,
		"\u009b31m":              `\u009b31m`,
		"\u202egpj.exe":          `\u202egpj.exe`,
		"\xff\xfeA":              `\xff\xfeA`,
		"\ufffd":                 `\ufffd`,
		"0123456789abcdef":       "0123456789abcdef",
		"0123456789abcdefg":      "0123456789abcdef...",
		"0123456789abcde\x07":    "0123456789abcde...",
		"\U0001F600":             "\U0001F600",
		"\U000E0001":             `\U000e0001`,
		strings.Repeat("é", 100): strings.Repeat("é", 8) + "...",
	} {
		if got := Line(in, 16); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("a\x1b\u202e\xff", 3)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = max(limit, 0) % 1000
		got := Line(s, limit)
		if len(got) > limit+3 {
			t.Errorf("%d bytes with a limit of %d", len(got), limit)
		}
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q is not printable", got)
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add("a\x1b\u202e\U000E0001\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := json.MarshalIndent(map[string]any{"v": s}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		var want, got any
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		out := JSON(b)
		if err := json.Unmarshal(out, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q has become %q: %v", b, out, err)
		}
		if strings.ContainsFunc(string(out), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Errorf("%q is not printable", out)
		}
	})
}
