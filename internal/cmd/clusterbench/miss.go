//go:build unix

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
)

// A missedError says that something did not happen in time, and at which nodes
// not; details has a line for each of them on what it did see.
type missedError struct {
	what    string
	details []string
}

func (e *missedError) Error() string { return e.what }

// details returns what is known of a failed run, a line for each node.
func details(err error) []string {
	var m *missedError
	if errors.As(err, &m) {
		return m.details
	}
	return nil
}

// missed makes the error about nodes where something did not happen in time.
// role, if not nil, says what was wanted of one of them.
func (f *fleet) missed(limit time.Duration, start time.Time, at []*ship, role func(*ship) string) error {
	names := make([]string, len(at))
	m := &missedError{}
	for i, s := range at {
		names[i] = s.name
		who := s.name
		if role != nil {
			who += " (" + role(s) + ")"
		}
		m.details = append(m.details, who+" "+s.report(start, len(f.ships)))
	}
	if len(names) > 3 {
		names = append(names[:3], "...")
	}
	m.what = fmt.Sprintf("not within %v at %d of %d nodes: %s", limit, len(at), len(f.ships), strings.Join(names, ", "))
	return m
}

// report says in one line what a node sees and what it has said of the cluster,
// with the times since start, and of members before it.
func (s *ship) report(start time.Time, n int) string {
	states := map[cluster.State]int{}
	var doubted, gone []string
	for _, m := range s.node.Members() {
		states[m.State]++
		if m.State != cluster.StateAlive {
			doubted = append(doubted, m.Name)
		}
	}
	for _, m := range s.node.Gone() {
		gone = append(gone, m.Name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "sees %d alive, %d suspect of %d", states[cluster.StateAlive], states[cluster.StateSuspect], n)
	list := func(what string, names []string) {
		if len(names) > 0 {
			slices.Sort(names)
			fmt.Fprintf(&b, ", %s %s", what, strings.Join(names, " "))
		}
	}
	list("not alive", doubted)
	list("gone", gone)
	if s.detector != nil {
		fmt.Fprintf(&b, "; detector %s", s.detector())
	}
	var said []string
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		tell := e.Partition != nil || e.Kind == cluster.KindSelfDegraded || e.Kind == cluster.KindResync
		// A suspicion before anything was cut is what may have misled it.
		early := e.Time.Before(start) && (e.Kind == cluster.KindNodeSuspected || e.Kind == cluster.KindNodeRecovered || e.Kind == cluster.KindNodeFailed)
		if tell || early {
			said = append(said, fmt.Sprintf("%+.1fs %s", e.Time.Sub(start).Seconds(), e))
		}
	}
	if len(said) == 0 {
		said = []string{"nothing of it"}
	}
	fmt.Fprintf(&b, "; said %s", strings.Join(said, ", "))
	return b.String()
}
