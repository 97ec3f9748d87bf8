package cluster

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestEveryFieldOfConfigHasADefaultOrMayBeZero(t *testing.T) {
	t.Parallel()
	zero := map[string]bool{
		"Name": true, "Seeds": true, "Tags": true, "ExpectNodes": true, "Advertise": true,
		"Discovery.WaitForSeed": true, "Discovery.MembersFile": true, "Partition.Stable": true,
	}
	for _, p := range []string{"", "lan", "large", "wan"} {
		c := (&Config{Name: "n", Profile: p}).populate()
		if err := c.validate(); err != nil {
			t.Errorf("%q: the defaults do not fit together: %v", p, err)
		}
		c.Name = ""
		var check func(v reflect.Value, prefix string)
		check = func(v reflect.Value, prefix string) {
			for i := range v.NumField() {
				name := prefix + v.Type().Field(i).Name
				if f := v.Field(i); f.Kind() == reflect.Struct {
					check(f, name+".")
				} else if f.IsZero() != zero[name] {
					t.Errorf("%q: zero default of %s: %v, want %v", p, name, f.IsZero(), zero[name])
				}
			}
		}
		check(reflect.ValueOf(c), "")
	}
}

func TestJoinWithoutAConfigSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	if _, err := Join(t.Context(), nil, nil); err == nil || !strings.Contains(err.Error(), "a Config with at least a Name") {
		t.Error(err)
	}
}

// A caller may use its Config again, and change what it points to.
func TestConfigIsCopied(t *testing.T) {
	t.Parallel()
	given := Config{Name: "n", Seeds: []string{"a:1"}, Tags: Tags{"k": "v"}}
	c := given.populate()
	given.Seeds[0], given.Tags["k"] = "b:2", "w"
	if c.Seeds[0] != "a:1" || c.Tags["k"] != "v" || given.Cluster != "" {
		t.Errorf("got %v, %v; the caller's Cluster became %q", c.Seeds, c.Tags, given.Cluster)
	}
}

func TestValuesThatCannotWorkTogetherAreRefusedWithBothNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  Config
		want []string
	}{
		{Config{Detection: DetectionConfig{ProbeTimeout: time.Second}}, []string{"cluster: Config.Detection.ProbeTimeout: 1s: must be below Config.Detection.ProbeInterval, 200ms"}},
		{Config{Detection: DetectionConfig{GossipInterval: time.Second}}, []string{"cluster: Config.Detection.GossipInterval: 1s: must be at most Config.Detection.ProbeInterval, 200ms"}},
		{Config{Detection: DetectionConfig{StreamTimeout: 50 * time.Millisecond}}, []string{"cluster: Config.Detection.StreamTimeout: 50ms: must be above Config.Detection.ProbeTimeout, 100ms"}},
		{Config{Partition: PartitionConfig{Window: time.Second}}, []string{"cluster: Config.Partition.Window: 1s: must be at least twice Config.Detection.SuspicionMult times Config.Detection.ProbeInterval, 1.6s"}},
		{Config{Partition: PartitionConfig{Stable: time.Hour}}, []string{"cluster: Config.Partition.Stable: 1h0m0s: must be at most Config.Partition.ForgetAfter, 10m0s"}},
		{Config{Detection: DetectionConfig{SuspicionMult: 1}}, []string{"cluster: Config.Detection.SuspicionMult: 1: must be 2 to 100"}},
		{Config{Detection: DetectionConfig{ProbeInterval: time.Millisecond}}, []string{"cluster: Config.Detection.ProbeInterval: 1ms: must be at least 10ms"}},
		{Config{Discovery: DiscoveryConfig{ReconnectInterval: time.Hour}}, []string{"cluster: Config.Discovery.ReconnectInterval: 1h0m0s: must be at most 30s"}},
		{Config{Seeds: []string{"nowhere"}}, []string{`cluster: Config.Seeds: "nowhere" is not host:port`}},
		{Config{Seeds: []string{"host:0"}}, []string{"Config.Seeds", `"host:0"`}},
		{Config{Seeds: []string{"[fe80::1]:5000"}}, []string{"Seeds", "needs its zone"}},
		{Config{ExpectNodes: -1}, []string{"cluster: Config.ExpectNodes: -1: must be 0 to 20000"}},
		{Config{Profile: "wann"}, []string{`cluster: Config.Profile: "wann": must be "lan", "large" or "wan"`}},
		{Config{Name: "a b"}, []string{`"a b"`, "without spaces"}},
		{Config{Name: "a@b"}, []string{"'@'"}},
		{Config{Name: "-"}, nil},
		{Config{LeaveDelay: -1}, []string{"cluster: Config.LeaveDelay: -1ns: must be at least 0s"}},
		{Config{Cluster: strings.Repeat("x", 129)}, []string{"Cluster"}},
		{Config{Tags: Tags{"": ""}}, []string{"tag key"}},
	} {
		if c.cfg.Name == "" {
			c.cfg.Name = "n"
		}
		cfg := c.cfg.populate()
		err := cfg.validate()
		if (err == nil) != (c.want == nil) {
			t.Errorf("%v: %v", c.want, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("got %v, want %q", err, w)
			}
		}
	}
	empty := (&Config{}).populate()
	if err := empty.validate(); err == nil || !strings.Contains(err.Error(), "Name is empty") {
		t.Errorf("no name: %v", err)
	}
}

func TestAdvertisedAddress(t *testing.T) {
	t.Parallel()
	tcp := func(s string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	resolve := func(_ context.Context, host string) ([]string, error) {
		if host == "node.example" {
			return []string{"10.1.2.3", "10.1.2.4"}, nil
		}
		return nil, errors.New("no such host")
	}
	for _, c := range []struct{ bound, advertise, want string }{
		{"127.0.0.1:5000", "", "127.0.0.1:5000"},
		{"[::1]:5000", "", "[::1]:5000"},
		{"[fe80::1%lo]:5000", "", "[fe80::1%lo]:5000"},
		{"127.0.0.1:5000", "fe80::1%lo", "[fe80::1%lo]:5000"},
		{"127.0.0.1:5000", "10.0.0.1", "10.0.0.1:5000"},
		{"127.0.0.1:5000", "10.0.0.1:0", "10.0.0.1:5000"},
		{"127.0.0.1:5000", "10.0.0.1:6000", "10.0.0.1:6000"},
		{"0.0.0.0:5000", "node.example:6000", "10.1.2.3:6000"},
		{"0.0.0.0:5000", "other.example", "other.example"},
		{"0.0.0.0:5000", "0.0.0.0", "others cannot reach"},
		{"0.0.0.0:5000", "fe80::1", "needs its zone"},
		{"0.0.0.0:5000", "10.0.0.1:x", `port "x"`},
	} {
		got, _, err := advertiseAddr(t.Context(), &Config{Advertise: c.advertise, Discovery: DiscoveryConfig{Resolve: resolve}}, tcp(c.bound))
		if text := got.String(); err == nil && text != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s advertised as %q: %v, %v", c.bound, c.advertise, got, err)
		}
	}
	got, guess, err := advertiseAddr(t.Context(), &Config{}, tcp("0.0.0.0:5000"))
	if err != nil || got.Addr().IsUnspecified() || got.Port() != 5000 || !guess {
		t.Errorf("all interfaces: %v, %v", got, err)
	}
}

// A node advertises the address that the route to a seed leaves from.
func TestFieldTheRouteToASeedChoosesTheAddress(t *testing.T) {
	t.Parallel()
	resolve := func(ctx context.Context, host string) ([]string, error) {
		if host == "hangs.example" {
			<-ctx.Done()
		}
		return []string{"127.0.0.1"}, ctx.Err()
	}
	for _, c := range []struct {
		bound, want string
		seeds       []string
	}{
		{"0.0.0.0:5000", "127.0.0.1:5000", []string{"127.0.0.1:6000"}},
		{"0.0.0.0:5000", "127.0.0.1:5000", []string{"[::1]:6000", "127.0.0.1:6000"}}, // of the family that it listens on
		{"0.0.0.0:5000", "127.0.0.1:5000", []string{"hangs.example:1", "seed.example:6000"}},
	} {
		bound, err := net.ResolveTCPAddr("tcp", c.bound)
		if err != nil {
			t.Fatal(err)
		}
		cfg := (&Config{Name: "n", Seeds: c.seeds, Discovery: DiscoveryConfig{Resolve: resolve}}).populate()
		if got, guess, err := advertiseAddr(t.Context(), &cfg, bound); err != nil || guess || got.String() != c.want {
			t.Errorf("bound to %s with the seeds %v: %v, a guess: %v, %v; want %s", c.bound, c.seeds, got, guess, err, c.want)
		}
	}
}

func TestFieldABridgeIsTheLastToBeAdvertised(t *testing.T) {
	t.Parallel()
	out := netip.MustParseAddr("203.0.113.7")
	last := 1 << 10
	for _, c := range []struct {
		ip     string
		bridge bool
	}{
		{"10.0.0.1", false}, {"203.0.113.7", false}, {"203.0.113.8", false}, {"fd00::1", false}, {"2001:db8::1", false},
		{"172.17.0.1", true}, {"127.0.0.1", false}, {"fe80::1", false},
	} {
		r := addrRank(netip.MustParseAddr(c.ip), out, c.bridge)
		if r >= last {
			t.Errorf("%s has rank %d, after %d", c.ip, r, last)
		}
		last = r
	}
	if addrRank(out, out, true) <= addrRank(netip.MustParseAddr("203.0.113.8"), out, false) {
		t.Error("a bridge that leads to the rest of the world comes after what does not")
	}
}

func TestBootsSortByTimeAndNeverRepeat(t *testing.T) {
	t.Parallel()
	last := ""
	for range 1000 {
		b := newBoot()
		if b <= last || len(b) != 16 {
			t.Fatalf("%s after %s", b, last)
		}
		last = b
	}
}
