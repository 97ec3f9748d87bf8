package doctor

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/schema"
	"github.com/rpcnet-go/rpcnet/internal/version"
)

// session connects as every other command does.
func (d *doctor) session(ctx context.Context) {
	if d.wire == nil {
		d.skip("there is no TLS connection")
		return
	}
	conn, err := rpcnet.Dial(ctx, d.Addr, rpcnet.CertFiles(d.Cert, d.Key, d.CA), &rpcnet.DialConfig{
		ServerNames: []string{d.ServerName}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		d.fail("mend what failed above; else the node refuses this certificate: see its log", "the node and this side do not accept each other: %v", err)
		return
	}
	d.conn = conn
	d.ok("the node accepts calls of this certificate")
}

// roles asks for the node's view, which only administrators are given.
func (d *doctor) roles(ctx context.Context) {
	if d.conn == nil {
		d.skip("there is no session")
		return
	}
	d.asked = d.Now()
	start := time.Now()
	v, err := cluster.Admin{Transport: d.conn}.Snapshot(ctx)
	d.roundTrip = time.Since(start)
	switch rpcnet.CodeOf(err) {
	case 0:
		d.view = &v
		d.ok("this certificate is an administrator's")
	case rpcnet.CodePermissionDenied:
		d.fail("use the certificate of an administrator: rpcnet certs -name me -role admin, then -cert and -key", "this certificate is not an administrator's: %v", err)
	case rpcnet.CodeUnimplemented:
		d.warn("ask a node that has joined; calls of this one work", "the endpoint is no node of a cluster, or has left it")
	default:
		d.fail("see the log of the node", "asking for the view of the node: %v", err)
	}
}

// noView is why the steps that need the view are skipped.
const noView = "the node does not say what it sees"

// The differences of clocks that are reported. Certificates are often good from the
// minute that they were made.
const (
	clockWarn = 2 * time.Second
	clockFail = 30 * time.Second
)

// clock compares the clocks of the node and of this machine.
func (d *doctor) clock(context.Context) {
	if d.view == nil {
		d.skip(noView)
		return
	}
	// The view is of a moment between the question and the answer.
	ahead := d.view.Time.Sub(d.asked.Add(d.roundTrip / 2))
	off, side := ahead.Abs(), "ahead of"
	if ahead < 0 {
		side = "behind"
	}
	const fix = "let NTP set both clocks: timedatectl set-ntp true; certificates are refused before and after their time"
	switch {
	case off >= clockFail:
		d.fail(fix, "the node's clock is %v %s this machine's", people(off), side)
	case off >= clockWarn:
		d.warn(fix, "the node's clock is %v %s this machine's", people(off), side)
	default:
		d.ok("the clocks differ by less than %v", clockWarn)
	}
}

// versions compares the versions.
func (d *doctor) versions(context.Context) {
	own := version.Read().Version
	switch {
	case d.view == nil:
		d.skip(noView)
	case d.view.Version == "":
		d.warn("update the node", "the node does not say its version: it is older than this command (%s)", own)
	case d.view.Version != own:
		d.warn("update the older one: both speak the same protocol, and the older one may lack what the newer asks for", "the node has %s, this command %s", d.view.Version, own)
	default:
		d.ok("the node and this command have %s", own)
	}
}

// clusterName compares the name of the cluster.
func (d *doctor) clusterName(context.Context) {
	switch {
	case d.view == nil:
		d.skip(noView)
	case d.Cluster != "" && d.Cluster != d.view.Cluster:
		d.fail("mend -addr, or cluster.Config.Cluster of the node: nodes of two clusters do not see each other",
			"the node is of the cluster %q and not of %q", d.view.Cluster, d.Cluster)
	default:
		d.ok("%q, and the node is %s", d.view.Cluster, d.view.Self.Name)
	}
}

// conflicts finds names and addresses that two members have.
func (d *doctor) conflicts(context.Context) {
	if d.view == nil {
		d.skip(noView)
		return
	}
	byName, byAddr := map[string]cluster.Member{}, map[string]cluster.Member{}
	for _, m := range d.view.Members {
		if other, ok := byName[m.Name]; ok {
			d.fail("give each node a name of its own (cluster.Config.Name)", "two members have the name %s: at %s and at %s", m.Name, other.Addr, m.Addr)
			return
		}
		if other, ok := byAddr[m.Addr]; ok {
			d.fail("set cluster.Config.Advertise of both to the address at which the others reach them", "%s and %s advertise the same address, %s", other.Name, m.Name, m.Addr)
			return
		}
		byName[m.Name], byAddr[m.Addr] = m, m
	}
	d.ok("each of the %d members has a name and an address of its own", len(d.view.Members))
}

// maxListed is how many names a finding has.
const maxListed = 5

// list returns names for people, not too many.
func list(names []string) string {
	if len(names) > maxListed {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxListed], ", "), len(names)-maxListed)
	}
	return strings.Join(names, ", ")
}

// members finds members that are suspected or have failed.
func (d *doctor) members(context.Context) {
	if d.view == nil {
		d.skip(noView)
		return
	}
	var bad []string
	for _, m := range append(d.view.Members, d.view.Gone...) {
		if m.State == cluster.StateSuspect || m.State == cluster.StateFailed {
			bad = append(bad, m.Name+" "+m.State.String())
		}
	}
	switch {
	case d.view.Health > 0:
		d.warn("give the node more processor time, or mend its network: its own probes are late", "the node's own health is %d of 7, 0 is well", d.view.Health)
	case len(bad) > 0:
		d.warn("see whether their machines run and can be reached from here: rpcnet doctor -addr THEIRS", "%s", list(bad))
	default:
		d.ok("%d present, none suspected or failed", len(d.view.Members))
	}
}

// partition finds a split of the cluster.
func (d *doctor) partition(context.Context) {
	switch {
	case d.view == nil:
		d.skip(noView)
	case d.view.Partition != nil:
		d.fail("mend the network between the two sides: they heal by themselves then", "%v", d.view.Partition)
	default:
		d.ok("none")
	}
}

// workers finds workers that the node cannot choose.
func (d *doctor) workers(context.Context) {
	if d.view == nil {
		d.skip(noView)
		return
	}
	var bad []string
	ready := 0
	for _, w := range d.view.Workers {
		if w.Ready {
			ready++
			continue
		}
		why := w.Status
		if w.Reason != "" {
			why += " (" + w.Reason + ")"
		}
		bad = append(bad, w.Name+": "+why)
	}
	switch {
	case len(d.view.Workers) == 0:
		d.ok("the node does not choose among workers")
	case len(bad) > 0:
		d.warn("rpcnet members shows them all with their reasons", "%d can be chosen; %s", ready, list(bad))
	default:
		d.ok("all %d can be chosen", ready)
	}
}

// services asks which services the node describes.
func (d *doctor) services(ctx context.Context) {
	if d.conn == nil {
		d.skip("there is no session")
		return
	}
	b, err := rpcnet.CallRaw(ctx, d.conn, codegen.DescribeProcedure, nil)
	if err != nil {
		d.warn("give \"rpcnet call\" the contract with -schema; the node allows it with ServerConfig.NoDescribe not set", "the node does not describe its services: %v", err)
		return
	}
	found, omitted, err := schema.ParseDescription(b)
	if err != nil {
		d.fail("update this command or the node", "what the node says of its services cannot be read: %v", err)
		return
	}
	names := omitted
	for _, s := range found {
		names = append(names, s.Service)
	}
	if len(names) == 0 {
		d.ok("the node serves none of its own, or none with a contract")
		return
	}
	d.ok("%s", list(names))
}
