package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// problems collects what is wrong with a Config. Each error has the full name of the
// field, its value and what would be right: "cluster: Config.Detection.ProbeInterval:
// 1ms: must be at least 10ms".
type problems []error

// add adds a problem of the field "Config."+field.
func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, fmt.Errorf("cluster: Config."+field+": "+format, args...))
}

// duration adds a problem if d is below min.
func (p *problems) duration(field string, d, min time.Duration) {
	if d < min {
		p.add(field, "%v: must be at least %v", d, min)
	}
}

// count adds a problem if n is not within min to max.
func (p *problems) count(field string, n, min, max int) {
	if n < min || n > max {
		p.add(field, "%d: must be %d to %d", n, min, max)
	}
}

// validate returns everything that is wrong with a populated Config, joined, or nil. It
// runs after populate, so that values that do not fit the defaults are found too.
func (c *Config) validate() error {
	var p problems
	if err := validName(c.Name); err != nil {
		p = append(p, err)
	}
	if len(c.Cluster) > 128 || !utf8.ValidString(c.Cluster) {
		p.add("Cluster", "%q: must be at most 128 bytes of UTF-8", loglimit.Cut(c.Cluster))
	}
	if err := c.Tags.Validate(); err != nil {
		p = append(p, err)
	}
	for _, s := range c.Seeds {
		if err := validHostPort(s); err != nil {
			p.add("Seeds", "%w", err)
		}
	}
	// maxMembers is the most that the view holds: more could never be seen.
	p.count("ExpectNodes", c.ExpectNodes, 0, maxMembers)
	p.duration("LeaveDelay", c.LeaveDelay, 0)
	c.Discovery.validate(&p)
	if _, ok := profiles[c.Profile]; !ok {
		// The defaults of the rest are unknown: what is said of them would mislead.
		p.add("Profile", `%q: must be "lan", "large" or "wan"`, loglimit.Cut(c.Profile))
		return errors.Join(p...)
	}
	c.Detection.validate(&p)
	c.Partition.validate(&p, &c.Detection)
	return errors.Join(p...)
}

// validate adds what is wrong with the group Discovery.
func (c *DiscoveryConfig) validate(p *problems) {
	p.duration("Discovery.JoinTimeout", c.JoinTimeout, time.Millisecond)
	p.duration("Discovery.SeedInterval", c.SeedInterval, 100*time.Millisecond)
	p.duration("Discovery.ReconnectInterval", c.ReconnectInterval, 100*time.Millisecond)
	// Later attempts come every reconnectIdle: the first ones must not be rarer.
	if c.ReconnectInterval > reconnectIdle {
		p.add("Discovery.ReconnectInterval", "%v: must be at most %v", c.ReconnectInterval, reconnectIdle)
	}
	p.duration("Discovery.ReconnectFor", c.ReconnectFor, time.Second)
}

// validate adds what is wrong with the group Detection. Values below the limits make
// memberlist busy with its timers; values that do not fit together make it slow or deaf
// in ways that are hard to see later.
func (c *DetectionConfig) validate(p *problems) {
	p.duration("Detection.ProbeInterval", c.ProbeInterval, 10*time.Millisecond)
	p.duration("Detection.ProbeTimeout", c.ProbeTimeout, time.Millisecond)
	p.count("Detection.IndirectProbes", c.IndirectProbes, 1, 32)
	p.count("Detection.SuspicionMult", c.SuspicionMult, 2, 100)
	p.count("Detection.SuspicionMaxMult", c.SuspicionMaxMult, 1, 100)
	p.duration("Detection.GossipInterval", c.GossipInterval, 10*time.Millisecond)
	p.count("Detection.GossipNodes", c.GossipNodes, 1, 100)
	p.count("Detection.RetransmitMult", c.RetransmitMult, 1, 100)
	p.duration("Detection.PushPullInterval", c.PushPullInterval, 500*time.Millisecond)
	p.duration("Detection.StreamTimeout", c.StreamTimeout, 10*time.Millisecond)
	p.duration("Detection.DeadGossipTime", c.DeadGossipTime, 0)
	// What must fit together. Both names are given, since either can be the wrong one.
	if c.ProbeTimeout >= c.ProbeInterval {
		p.add("Detection.ProbeTimeout", "%v: must be below Config.Detection.ProbeInterval, %v: there would be no time to ask others before the next probe",
			c.ProbeTimeout, c.ProbeInterval)
	}
	if c.GossipInterval > c.ProbeInterval {
		p.add("Detection.GossipInterval", "%v: must be at most Config.Detection.ProbeInterval, %v: refutations would come too late",
			c.GossipInterval, c.ProbeInterval)
	}
	if c.StreamTimeout <= c.ProbeTimeout {
		p.add("Detection.StreamTimeout", "%v: must be above Config.Detection.ProbeTimeout, %v: probes over a stream could never succeed",
			c.StreamTimeout, c.ProbeTimeout)
	}
}

// validate adds what is wrong with the group Partition. d is valid on its own, or has
// problems that are reported already.
func (c *PartitionConfig) validate(p *problems, d *DetectionConfig) {
	p.duration("Partition.Window", c.Window, 100*time.Millisecond)
	p.duration("Partition.Stable", c.Stable, 0)
	p.duration("Partition.Baseline", c.Baseline, 0)
	p.duration("Partition.ForgetAfter", c.ForgetAfter, time.Second)
	// The members of one partition are declared failed one after another, over about
	// the time of a suspicion.
	if suspicion := time.Duration(d.SuspicionMult) * d.ProbeInterval; c.Window < 2*suspicion {
		p.add("Partition.Window", "%v: must be at least twice Config.Detection.SuspicionMult times Config.Detection.ProbeInterval, %v: "+
			"losses of one partition would not be seen together", c.Window, 2*suspicion)
	}
	if c.Window > c.ForgetAfter {
		p.add("Partition.Window", "%v: must be at most Config.Partition.ForgetAfter, %v: "+
			"losses of one partition would be forgotten before they count together", c.Window, c.ForgetAfter)
	}
	if c.Stable > c.ForgetAfter {
		p.add("Partition.Stable", "%v: must be at most Config.Partition.ForgetAfter, %v: "+
			"lost nodes would be forgotten before the partition is named", c.Stable, c.ForgetAfter)
	}
}

// validName returns what is wrong with a node's name, or nil. The name becomes part of
// memberlist's name of the node, "name@boot", in which '@' and '/' have a meaning.
func validName(name string) error {
	switch {
	case name == "":
		return errors.New("cluster: Config.Name is empty: give the node a name that no other has")
	case len(name) > maxNameLen || !utf8.ValidString(name):
		return fmt.Errorf("cluster: Config.Name: %q: must be at most %d bytes of UTF-8", loglimit.Cut(name), maxNameLen)
	case strings.ContainsFunc(name, func(r rune) bool { return r == '@' || r == '/' || !unicode.IsGraphic(r) || unicode.IsSpace(r) }):
		return fmt.Errorf("cluster: Config.Name: %q: must be printable characters without spaces, '@' and '/'", loglimit.Cut(name))
	}
	return nil
}

// maxNameLen is the most bytes of a node's name.
const maxNameLen = 64

// lacksZone reports whether ip needs a zone and has none: a link-local address of IPv6 is
// reached through one interface, which the zone names (RFC 4007).
func lacksZone(ip netip.Addr) bool {
	return ip.Is6() && ip.IsLinkLocalUnicast() && ip.Zone() == ""
}

// validHostPort returns what is wrong with an address of Config.Seeds, or nil. It does not
// look names up: they can begin to exist later.
func validHostPort(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port: %w", addr, err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		return fmt.Errorf("%q: want a host and a port from 1 to 65535", addr)
	}
	if ip, err := netip.ParseAddr(host); err == nil && lacksZone(ip) {
		return fmt.Errorf("%q: a link-local address needs its zone, the interface that leads to it, as in [fe80::1%%eth0]:61000", addr)
	}
	return nil
}
