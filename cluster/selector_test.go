package cluster_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
)

func TestSelectorsChooseByTags(t *testing.T) {
	t.Parallel()
	tags := cluster.Tags{"role": "worker", "zone": "a", "gpu": "", "label": "worker a", "rpc.io/x": "1"}
	for _, c := range []struct {
		selector string
		want     bool
	}{
		{"", true}, {"  ", true},
		{"role=worker", true}, {"role==worker", true}, {" role = worker ", true}, {"role=director", false},
		{"role!=worker", false}, {"role!=director", true}, {"absent!=x", true}, {"absent=x", false},
		{"zone in (a,b)", true}, {"zone in(b , c)", false}, {"absent in (a)", false},
		{"zone not in (b,c)", true}, {"zone notin (a)", false}, {"absent not in (a)", true},
		{"gpu", true}, {"!gpu", false}, {"absent", false}, {"! absent", true},
		{`gpu=""`, true}, {`label="worker a"`, true}, {`label in ("worker a","x,y")`, true},
		{"role=worker,zone in (a,b),gpu,label!=x", true}, {"role=worker,zone in (b),gpu", false},
		{"rpc.io/x=1", true}, {"in in (in)", false}, {"inx", false}, {"notinx!=1", true},
	} {
		s, err := cluster.ParseSelector(c.selector)
		if err != nil {
			t.Errorf("%q: %v", c.selector, err)
			continue
		}
		if got := s.Matches(tags); got != c.want {
			t.Errorf("%q matches %v: %v", c.selector, tags, got)
		}
		again, err := cluster.ParseSelector(s.String())
		if err != nil || again.String() != s.String() || again.Matches(tags) != c.want {
			t.Errorf("%q became %q: %v", c.selector, s, err)
		}
	}
}

func TestBadSelectorsSayWhere(t *testing.T) {
	t.Parallel()
	for selector, want := range map[string]string{
		"=x":              `character 1: want a tag key, found "=x"`,
		"a=":              "character 3: want a value, found the end",
		"a=b c=d":         `character 5: want ',' or the end, found "c=d"`,
		"a,":              "character 3: want a tag key, found the end",
		"a,,b":            `character 3: want a tag key, found ",b"`,
		"zone in a":       "character 9: want '(' before the values",
		"zone in (":       "character 10: want a value, found the end",
		"zone in (a":      "character 11: want ',' or ')'",
		"zone in ()":      `character 10: want a value, found ")"`,
		"zone not (a)":    `character 10: want "in" after "not"`,
		"a ~ b":           `character 3: want =, !=, in, not in`,
		`a="b`:            "character 3: the quote is not closed",
		"größe=1":         `character 3: want =, !=`,
		`é=1`:             "character 1: want a tag key",
		`a="é",=`:         "character 7: want a tag key",
		"!":               "character 2: want a tag key, found the end",
		"!a=b":            "character 3: want ','",
		"a=\xff":          "not UTF-8",
		longKey() + "=1":  "at most 63",
		manyTerms():       "more than 64 conditions",
		manyValues():      "more than 256 values",
		tooLongSelector(): "over the limit of 4096",
	} {
		_, err := cluster.ParseSelector(selector)
		if rpcnet.CodeOf(err) != rpcnet.CodeInvalidArgument || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %.200v, want %q", selector, err, want)
		}
	}
}

func longKey() string         { return strings.Repeat("k", 64) }
func manyTerms() string       { return strings.Repeat("a,", 64) + "a" }
func manyValues() string      { return "a in (" + strings.Repeat("x,", 256) + "x)" }
func tooLongSelector() string { return strings.Repeat("a", 4097) }

func TestMatchingAllocatesNothing(t *testing.T) {
	s, err := cluster.ParseSelector("role=worker,zone in (a,b),gpu,label!=x")
	if err != nil {
		t.Fatal(err)
	}
	tags := cluster.Tags{"role": "worker", "zone": "b", "gpu": "h100"}
	if n := testing.AllocsPerRun(100, func() { s.Matches(tags) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzSelector(f *testing.F) {
	for _, s := range []string{"", "role=worker,zone in (a,b),gpu,label!=x", `a="x,y"`, "!a,b notin (c)", "a not in (\"\")", "a==b"} {
		f.Add(s)
	}
	tags := cluster.Tags{"role": "worker", "zone": "a", "a": "x,y", "b": ""}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := cluster.ParseSelector(text)
		if err != nil {
			if rpcnet.CodeOf(err) != rpcnet.CodeInvalidArgument || !strings.Contains(err.Error(), "at character ") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		again, err := cluster.ParseSelector(s.String())
		if err != nil || again.String() != s.String() || again.Matches(tags) != s.Matches(tags) || again.Empty() != s.Empty() {
			t.Errorf("%q became %q, %v", text, s, err)
		}
	})
}

func ExampleParseSelector() {
	s, err := cluster.ParseSelector("role=worker, zone in (b,a), !draining")
	fmt.Println(s, err)
	fmt.Println(s.Matches(cluster.Tags{"role": "worker", "zone": "a"}))
	_, err = cluster.ParseSelector("role=worker, zone in a")
	fmt.Println(err)
	// Output:
	// role=worker,zone in (a,b),!draining <nil>
	// true
	// cluster: selector "role=worker, zone in a": at character 22: want '(' before the values of "zone"
}
