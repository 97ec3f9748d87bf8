package balance

import (
	"fmt"
	"strings"
)

// A Strategy is a named way to make pickers. The zero value is [LeastConnections]. It
// is text in configuration files: its name.
type Strategy struct {
	name string
	make func() Picker
}

// The strategies.
var (
	// LeastConnections takes the worker with the lowest utilisation,
	// (load+1)/capacity, at random among equals. Of a Set, or if PickRequest.Sample is
	// set, it compares four draws weighted by capacity instead of all.
	LeastConnections = Strategy{"LeastConnections", func() Picker { return new(leastConnections) }}
	// RoundRobin takes workers in turn, in a fixed order.
	RoundRobin = Strategy{"RoundRobin", func() Picker { return new(roundRobin) }}
	// Random draws a worker, each as likely as the others.
	Random = Strategy{"Random", func() Picker { return random{} }}
	// WeightedRandom draws a worker in proportion to capacity.
	WeightedRandom = Strategy{"WeightedRandom", func() Picker { return weightedRandom{} }}
	// WeightedRoundRobin takes workers in turn in proportion to capacity, evenly
	// spread.
	WeightedRoundRobin = Strategy{"WeightedRoundRobin", func() Picker { return new(weightedRoundRobin) }}
	// PeakEWMA takes, of two draws, the one with the lower product of latency
	// and own calls in flight. For unary calls: the duration of a stream says
	// nothing about a worker's speed.
	PeakEWMA = Strategy{"PeakEWMA", func() Picker { return peakEWMA{} }}
	// ConsistentHash takes the first worker in the order of the call's key whose
	// load is within 1.25 of its share. Without a key it is LeastConnections. The order
	// of a Set is another one than that of a slice, so that keys move once when a
	// selector comes to match more than 64 workers.
	ConsistentHash = Strategy{"ConsistentHash", func() Picker { return new(consistentHash) }}
	// StickyUntilFull takes the worker that served the session before, by the
	// PickRequest.LastWorker, while it has room. Else it is LeastConnections.
	StickyUntilFull = Strategy{"StickyUntilFull", func() Picker { return new(stickyUntilFull) }}
)

var strategies = []Strategy{LeastConnections, RoundRobin, Random, WeightedRandom,
	WeightedRoundRobin, PeakEWMA, ConsistentHash, StickyUntilFull}

// aliases are other names of strategies.
var aliases = map[string]Strategy{"leastloaded": LeastConnections}

// Custom returns a strategy of your own. name is what String and the explanations of a
// registry show. newPicker is called once for each selector.
func Custom(name string, newPicker func() Picker) Strategy { return Strategy{name, newPicker} }

// Parse returns the strategy of that name, in any case. The error for an
// unknown one lists those that exist.
func Parse(name string) (Strategy, error) {
	for _, s := range strategies {
		if strings.EqualFold(s.name, name) {
			return s, nil
		}
	}
	if s, ok := aliases[strings.ToLower(name)]; ok {
		return s, nil
	}
	return Strategy{}, fmt.Errorf("balance: unknown strategy %q: one of %s", name, strings.Join(Names(), ", "))
}

// Names returns the names [Parse] knows, the default first.
func Names() []string {
	names := make([]string, len(strategies))
	for i, s := range strategies {
		names[i] = s.name
	}
	return names
}

// String returns the strategy's name.
func (s Strategy) String() string {
	if s.make == nil {
		return LeastConnections.name
	}
	return s.name
}

// New returns a picker with no history.
func (s Strategy) New() Picker {
	if s.make == nil {
		return LeastConnections.make()
	}
	return s.make()
}

// MarshalText returns the name.
func (s Strategy) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText sets the strategy of that name, see [Parse]. After an error it is
// unchanged.
func (s *Strategy) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}
