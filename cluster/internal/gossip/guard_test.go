package gossip

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// exchange is the beginning of an exchange: numbers as MessagePack has them.
func exchange(nodes, state string) string {
	return "\x06\x83\xa5Nodes" + nodes + "\xacUserStateLen" + state + "\xa4Join\xc3"
}

// node is a node of an exchange.
const node = "\x84\xa4Name\xa3a@1\xa5State\x00\xabIncarnation\xcd\x01\x00\xa4Meta\xda\x00\x03abc"

func TestStreamsAreReadAsTheyCome(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]string{
		"ping":                 "\x00ping",
		"ack":                  "\x02ack",
		"error":                "\x0derror",
		"labelled ping":        "\xf4\x04prod\x00ping",
		"empty exchange":       exchange("\x00", "\x00"),
		"exchange":             exchange("\x02", "\x00") + node + node,
		"exchange, more":       exchange("\xcd\x4e\x20", "\xd0\x00") + strings.Repeat(node, 20_000),
		"exchange, signed":     exchange("\xd1\x00\x03", "\xcf\x00\x00\x00\x00\x00\x00\x00\x00") + node + "\x80" + node,
		"labelled, other keys": "\xf4\x00\x06\x83\xa4Join\xc2\xacUserStateLen\x00\xa5Nodes\x01" + node,
	} {
		for how, r := range map[string]io.Reader{
			"at once":     strings.NewReader(s),
			"by the byte": iotest.OneByteReader(strings.NewReader(s)),
		} {
			got, err := io.ReadAll(&guard{r: r})
			if err != nil || string(got) != s {
				t.Errorf("%s, %s: %.40q, %v", name, how, got, err)
			}
		}
	}
}

func TestStreamsThatNoNodeSendsAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ stream, want string }{
		"a million nodes":      {exchange("\xce\x00\x10\x00\x00", "\x00"), "1048576 nodes, the limit is 20000"},
		"minus one nodes":      {exchange("\xff", "\x00"), "unknown form"},
		"a negative length":    {exchange("\x00", "\xd3\xff\xff\xff\xff\xff\xff\xff\xff"), "unknown form"},
		"user state":           {exchange("\x00", "\xce\x01\x40\x00\x00"), "20971520 bytes of user state"},
		"a large map":          {"\x06\xdf\xff\xff\xff\xff", "unknown form"},
		"another key":          {"\x06\x83\xa5nodes\x00\xacUserStateLen\x00\xa4Join\xc3", "unknown form"},
		"a long key":           {"\x06\x83\xdb\xff\xff\xff\xff", "unknown form"},
		"a text for a number":  {exchange("\xa1x", "\x00"), "unknown form"},
		"compressed":           {"\x09\x82", "type 9"},
		"a message for users":  {"\x08\x81", "type 8"},
		"longer than it says":  {exchange("\x01", "\x00") + node + strings.Repeat("x", 100_000), "longer than what it announced"},
		"a ping without end":   {"\x00" + strings.Repeat("x", 100_000), "longer than what it announced"},
		"two labels":           {"\xf4\x01a\xf4\x01b\x00", "type 244"},
		"the key, given twice": {"\x06\x83\xa5Nodes\x01\xa5Nodes\xce\xff\xff\xff\xff", "unknown form"},
		"a node of no form":    {exchange("\x01", "\x00") + "\xc1", "a node of an exchange has an unknown form"},
		"a node of lists":      {exchange("\x01", "\x00") + "\x81\xa3Vsn\x96123456", "a node of an exchange has an unknown form"},
		"a node without end":   {exchange("\x01", "\x00") + "\x82\xa4Meta\xda\x03\xf0" + strings.Repeat("x", 1008) + "\xa4Name\xa3a@1", "longer than what it announced"},
	} {
		got, err := io.ReadAll(&guard{r: strings.NewReader(c.stream)})
		var bad *streamError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %.40q, %v, want %q", name, got, err, c.want)
		}
		if !strings.HasPrefix(c.stream, string(got)) {
			t.Errorf("%s: %.40q is not how the stream begins", name, got)
		}
	}
	for n := range len(exchange("\xcd\x00\x02", "\x00")) {
		if _, err := io.ReadAll(&guard{r: strings.NewReader(exchange("\xcd\x00\x02", "\x00")[:n])}); n > 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
}

func TestAStreamThatIsRefusedIsCounted(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a@1", "c"), newNode(t, "b@1", "c")
	c, err := a.DialAddressTimeout(b.address(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := <-b.StreamCh()
	defer s.Close()
	go io.WriteString(c, exchange("\xce\x00\x10\x00\x00", "\x00"))
	if _, err := s.Read(make([]byte, 100)); err == nil {
		t.Error("a million nodes were announced and read")
	}
	if got := b.counts.get(StreamMalformed); got != 1 {
		t.Errorf("counted %d times", got)
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte("\x00ping"))
	f.Add([]byte("\xf4\x04prod" + exchange("\x02", "\x00") + node + node))
	f.Add([]byte(exchange("\xce\x00\x10\x00\x00", "\x00")))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := io.ReadAll(&guard{r: bytes.NewReader(b)})
		if !bytes.HasPrefix(b, got) {
			t.Errorf("%q is not how %q begins", got, b)
		}
		if err == nil && len(got) != len(b) {
			t.Errorf("%d bytes of %d without an error", len(got), len(b))
		}
	})
}
