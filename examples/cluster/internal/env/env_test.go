package env_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/env"
)

func lookup(m map[string]string) env.Lookup {
	return func(name string) (string, bool) {
		s, ok := m[name]
		return s, ok
	}
}

type values struct {
	addr, label *string
	on          *bool
	n           *uint64
	pace        *time.Duration
}

func declare() (*env.Vars, values) {
	v := env.New("thing", "does things.")
	return v, values{
		addr:  v.Addr("ADDR", "127.0.0.1:61000", "where"),
		label: v.Name("LABEL", "worker-1", "who"),
		on:    v.Bool("ON", false, "whether"),
		n:     v.Uint("N", 100, 0, 1000, "how many"),
		pace:  v.Duration("PACE", 200*time.Millisecond, 0, time.Minute, "how fast"),
	}
}

func TestUnsetAndEmptyVariablesHaveTheirDefaults(t *testing.T) {
	t.Parallel()
	v, got := declare()
	if err := v.Load(lookup(map[string]string{"ADDR": ""})); err != nil {
		t.Fatal(err)
	}
	if *got.addr != "127.0.0.1:61000" || *got.label != "worker-1" || *got.on || *got.n != 100 || *got.pace != 200*time.Millisecond {
		t.Errorf("got %q %q %v %d %v", *got.addr, *got.label, *got.on, *got.n, *got.pace)
	}
}

func TestValuesAreTaken(t *testing.T) {
	t.Parallel()
	v, got := declare()
	err := v.Load(lookup(map[string]string{"ADDR": "[::1]:7", "LABEL": "gpu_3.a-b", "ON": "TRUE", "N": "0", "PACE": "1m"}))
	if err != nil {
		t.Fatal(err)
	}
	if *got.addr != "[::1]:7" || *got.label != "gpu_3.a-b" || !*got.on || *got.n != 0 || *got.pace != time.Minute {
		t.Errorf("got %q %q %v %d %v", *got.addr, *got.label, *got.on, *got.n, *got.pace)
	}
}

func TestABadValueIsOneLineWithVariableValueAndWhatIsAccepted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, value, accepted string }{
		{"ADDR", "nonsense", "want host:port"},
		{"ADDR", ":61000", "want host:port"},
		{"ADDR", "localhost:http", "want a port from 1 to 65535"},
		{"ADDR", "localhost:0", "want a port from 1 to 65535"},
		{"ADDR", "localhost:65536", "want a port from 1 to 65535"},
		{"LABEL", "a b", "letters, digits"},
		{"LABEL", strings.Repeat("a", 64), "at most 63"},
		{"ON", "maybe", "want true or false"},
		{"N", "-1", "from 0 to 1000"},
		{"N", "1001", "from 0 to 1000"},
		{"PACE", "fast", "want a duration from 0s to 1m0s"},
		{"PACE", "-1s", "want a duration from 0s to 1m0s"},
	} {
		v, _ := declare()
		err := v.Load(lookup(map[string]string{c.name: c.value}))
		if err == nil {
			t.Errorf("%s=%q is accepted", c.name, c.value)
			continue
		}
		if s := err.Error(); !strings.HasPrefix(s, c.name+"="+`"`+c.value+`": `) || !strings.Contains(s, c.accepted) || strings.Contains(s, "\n") {
			t.Errorf("%s=%q: %q, want one line that says %q", c.name, c.value, s, c.accepted)
		}
	}
}

func TestAllBadValuesAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	v, _ := declare()
	err := v.Load(lookup(map[string]string{"ADDR": "x", "ON": "x", "N": "x"}))
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("error %q, want three lines", err)
	}
}

func TestAFallbackIsReadOnlyWhileTheVariableIsUnset(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{nil, "default"},
		{map[string]string{"OTHER": "ours"}, "ours"},
		{map[string]string{"OTHER": "theirs"}, "default"},
		{map[string]string{"OTHER": "ours", "MINE": "mine"}, "mine"},
	} {
		var got string
		v := env.New("thing", "")
		v.Func("MINE", "default", "", func(s string) error { got = s; return nil })
		v.Fallback("OTHER", func(s string) error {
			if s != "ours" {
				return errors.New("not for us")
			}
			got = s
			return nil
		})
		if err := v.Load(lookup(c.env)); err != nil {
			t.Fatal(err)
		}
		if got != c.want {
			t.Errorf("%v: got %q, want %q", c.env, got, c.want)
		}
	}
}

func TestUsageListsDefaultsAndPresentValues(t *testing.T) {
	t.Parallel()
	v, _ := declare()
	v.Func("TAGS", "", "more", func(string) error { return nil })
	v.Fallback("OTHER", func(string) error { return nil })
	var b strings.Builder
	v.Usage(&b, lookup(map[string]string{"N": "7", "OTHER": "x=1"}))
	for _, want := range []string{"thing does things.", "ADDR      127.0.0.1:61000  127.0.0.1:61000  where", "100", "7 ", "TAGS      none             OTHER=x=1"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("usage lacks %q:\n%s", want, b.String())
		}
	}
}
