package cluster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/cluster"
)

func TestTagsAreReadAndWritten(t *testing.T) {
	t.Parallel()
	got, err := cluster.ParseTags(" zone=a, gpu = h100 ,flag,,url=http://x?a=b")
	if err != nil {
		t.Fatal(err)
	}
	if want := "flag=,gpu=h100,url=http://x?a=b,zone=a"; got.String() != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, err := cluster.ParseTags(""); err != nil || len(got) != 0 {
		t.Errorf("empty: %v, %v", got, err)
	}
	for text, want := range map[string]string{
		"a=1,a=2": `"a" is given twice`,
		"=x":      "want 1 to 63 bytes",
		"a b=1":   "' ' is not a letter",
		"a=\x01":  "control characters",
	} {
		if _, err := cluster.ParseTags(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// fill returns tags of exactly n bytes in gossip.
func fill(t testing.TB, n int) cluster.Tags {
	t.Helper()
	tags := cluster.Tags{"a": strings.Repeat("x", 250)}
	rest := n - tags.Size()
	tags["b"] = strings.Repeat("y", rest-4)
	if tags.Size() != n {
		t.Fatalf("%d bytes, want %d", tags.Size(), n)
	}
	return tags
}

// Trap: memberlist panics when the meta is over 512 bytes.
func TestTagsOfTheLimitAreTakenAndOneByteMoreIsAnError(t *testing.T) {
	t.Parallel()
	if cluster.MaxTagsSize != 476 {
		t.Errorf("limit of %d bytes, want 476", cluster.MaxTagsSize)
	}
	a := start(t, "a")
	b := start(t, "b", a)
	if err := b.Node.SetTags(fill(t, cluster.MaxTagsSize)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if m, _ := a.Node.Lookup("b"); m.Tags.Size() != cluster.MaxTagsSize {
			return fmt.Errorf("a sees %d bytes of tags", m.Tags.Size())
		}
		return nil
	})
	err := b.Node.SetTags(fill(t, cluster.MaxTagsSize+1))
	if !errors.Is(err, cluster.ErrTagsTooLarge) || !strings.Contains(err.Error(), "477") || !strings.Contains(err.Error(), "476") {
		t.Errorf("one byte more: %v", err)
	}
	if err := b.Node.UpdateTags(cluster.Tags{"c": ""}); !errors.Is(err, cluster.ErrTagsTooLarge) {
		t.Errorf("one tag more: %v", err)
	}
	if got := b.Node.Self().Tags.Size(); got != cluster.MaxTagsSize {
		t.Errorf("the refused change had an effect: %d bytes", got)
	}
	_, err = cluster.Join(t.Context(), listen(t, "127.0.0.1:0"), &cluster.Config{Name: "c", Tags: fill(t, cluster.MaxTagsSize+1)})
	if !errors.Is(err, cluster.ErrTagsTooLarge) {
		t.Errorf("Join with too many tags: %v", err)
	}
}
