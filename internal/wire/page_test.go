package wire_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A frame that one side sends in the example of docs/protocol.md.
type pageFrame struct {
	side  string
	bytes []byte
}

// pageFrames reads the example: in a block that starts with "```frames", each
// frame starts with the side that sends it; what stands after two spaces behind
// the bytes of a line is a comment.
func pageFrames(t *testing.T) []pageFrame {
	t.Helper()
	f, err := os.Open("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var frames []pageFrame
	inside := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```frames"
			continue
		case !inside:
			continue
		}
		side, rest := strings.TrimSpace(line[:8]), line[8:]
		if side != "" {
			frames = append(frames, pageFrame{side: side})
		}
		digits, _, _ := strings.Cut(rest, "  ")
		b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil || len(frames) == 0 {
			t.Fatalf("docs/protocol.md: line %q: %v", line, err)
		}
		last := &frames[len(frames)-1]
		last.bytes = append(last.bytes, b...)
	}
	return frames
}

// exampleFrames are those of the example, made by this package.
func exampleFrames() []pageFrame {
	frame := func(side string, typ wire.Type, flags uint64, id uint32, payload []byte) pageFrame {
		return pageFrame{side, append(wire.MakeHeader(typ, flags, id, len(payload)).Append(nil), payload...)}
	}
	settings := func(s wire.Settings) []byte { s.Version = wire.Version; return s.Append(nil) }
	open := func(o wire.Open, message []byte) []byte {
		o.HasMessage = true
		return append(o.Append(nil), message...)
	}
	text := func(key, value string) []byte {
		return cbor.Buffer(nil).AppendMap(1).AppendString(key).AppendString(value)
	}
	status := func(s wire.Status) []byte { return s.Append(nil) }
	return []pageFrame{
		frame("client", wire.TypeSettings, 0, 0, settings(wire.Settings{Identity: wire.Identity{Node: "worker-a"}})),
		frame("server", wire.TypeSettings, 0, 0, settings(wire.Settings{
			MaxStreams: wire.DefaultMaxStreams, StreamWindow: wire.DefaultStreamWindow, SessionWindow: wire.DefaultSessionWindow,
			Encodings: 7, Identity: wire.Identity{Cluster: "c", Node: "worker-a", Boot: "06h0"},
		})),
		frame("client", wire.TypeOpen, wire.FlagEnd, 1, open(wire.Open{
			Number: 1, Name: []byte("/greeting.v1.Greeting/Hello"), Deadline: 2_000_000,
		}, text("name", "Ada"))),
		frame("server", wire.TypeData, 0, 1, text("text", "Hello, Ada!")),
		frame("server", wire.TypeStatus, 0, 1, status(wire.Status{})),
		frame("client", wire.TypeOpen, wire.FlagEnd, 1, open(wire.Open{
			Number: 1, Metadata: wire.AppendMetadata(nil, map[string][]string{"trace": {"42"}}),
		}, text("name", ""))),
		frame("server", wire.TypeStatus, 0, 1, status(wire.Status{Code: 2, Message: "no name: say who you are", Details: []wire.Detail{
			{Name: "GreetingError", Data: append(cbor.Buffer(nil).AppendMap(1).AppendString("no_name"), text("hint", "say who you are")...)},
		}})),
	}
}

// The page is what clients in other languages are written from.
func TestProtocolPageHasTheBytes(t *testing.T) {
	t.Parallel()
	got, want := pageFrames(t), exampleFrames()
	if len(got) != len(want) {
		t.Errorf("docs/protocol.md has %d frames in its example, want %d", len(got), len(want))
	}
	for i, w := range want {
		if i >= len(got) || got[i].side != w.side || string(got[i].bytes) != string(w.bytes) {
			t.Errorf("frame %d is of the %s:\n% x", i+1, w.side, w.bytes)
			if i < len(got) {
				t.Logf("the page has, of the %s:\n% x", got[i].side, got[i].bytes)
			}
		}
	}
}

// The page tells the limits; these are they.
func TestProtocolPageHasTheLimits(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	for what, n := range map[string]int{
		"frame header": wire.HeaderLen, "message bytes in one frame": wire.MaxChunk, "metadata, encoded": wire.MaxMetadata,
		"keys and values": wire.MaxMetadataEntries, "procedure name": wire.MaxProcedure, "procedure numbers": wire.MaxProcedures,
		"payload of OPEN": wire.MaxPayload, "payload of STATUS": wire.MaxStatus, "message of STATUS": wire.MaxMessage,
		"details of STATUS": wire.MaxDetails, "each identity text": wire.MaxIdentity, "smallest window": wire.MinWindow,
		"largest window": wire.MaxWindow, "stream window": wire.DefaultStreamWindow, "session window": wire.DefaultSessionWindow,
		"streams": wire.DefaultMaxStreams, "largest stream id": wire.MaxMaxStreams,
	} {
		if row := fmt.Sprintf("| %s | %d |", what, n); !strings.Contains(string(page), row) {
			t.Errorf("docs/protocol.md: the table of limits lacks the row %q", row)
		}
	}
}
