package udpecho

import (
	"net/netip"
	"testing"
	"time"
)

var here = netip.MustParseAddrPort("192.0.2.7:4711")

func TestAQuestionWithATokenIsAnsweredInItsSize(t *testing.T) {
	t.Parallel()
	n := NewNode()
	for _, size := range []int{0, MinSize, 1200, 1472} {
		q := Question(n.Token(), 42, size)
		a, ok := n.Answer(q, here)
		if !ok || len(a) != len(q) || len(q) != max(size, MinSize) {
			t.Fatalf("%d bytes: %v, %d bytes, %v", size, q, len(a), ok)
		}
		if nonce, from, ok := ParseAnswer(a); !ok || nonce != 42 || from != here {
			t.Errorf("%d, %v, %v", nonce, from, ok)
		}
		if _, ok := n.Answer(a, here); ok {
			t.Error("an answer is answered: two nodes could be made to go on for ever")
		}
	}
	if token, answered, ok := ParseOffer(n.Offer()); !ok || answered != 4 || len(token) != TokenSize {
		t.Errorf("%v, %d, %v: want a token and the 4 questions that were answered", token, answered, ok)
	}
	if _, _, ok := ParseOffer(n.Token()); ok {
		t.Error("half an offer is one")
	}
}

func TestWhatHasNoGoodTokenIsNotAnswered(t *testing.T) {
	t.Parallel()
	n, now := NewNode(), time.Unix(1_000_000, 0)
	n.now = func() time.Time { return now }
	good := n.Token()
	forged := append([]byte{}, good...)
	forged[TokenSize-1]++
	longer := append([]byte{}, good...)
	longer[0]++
	for name, q := range map[string][]byte{
		"another node's": Question(NewNode().Token(), 1, 0), "forged": Question(forged, 1, 0), "with another time": Question(longer, 1, 0),
		"none": Question(nil, 1, 0), "short": Question(good, 1, 0)[:MinSize-1], "empty": nil,
	} {
		if _, ok := n.Answer(q, here); ok {
			t.Errorf("a question with a token that is %s is answered", name)
		}
	}
	now = now.Add(Lifetime - 1)
	if _, ok := n.Answer(Question(good, 1, 0), here); !ok {
		t.Error("a token is no good before its time is over")
	}
	now = now.Add(1)
	if _, ok := n.Answer(Question(good, 1, 0), here); ok {
		t.Error("a token is good after its time")
	}
}

func FuzzDatagrams(f *testing.F) {
	n := NewNode()
	f.Add(Question(n.Token(), 7, 100))
	f.Add([]byte{kindAnswer, 1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, ok := n.Answer(b, here); ok && len(a) > len(b) {
			t.Errorf("%d bytes are answered with %d", len(b), len(a))
		}
		ParseAnswer(b)
	})
}
