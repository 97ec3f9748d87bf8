package main

import (
	"cmp"
	"slices"
	"time"
)

// A sample is the outcome of one measurement. What a kind does not have is 0.
type sample struct {
	Rate     float64 // operations per second: calls, messages, turns or handshakes
	P50, P99 float64 // of the time one takes, in us
	CPU      float64 // of client and server, in us per operation
	Allocs   float64 // of client and server, per operation
	// Client and Server are the memory, heap and stacks, in KiB for each
	// session or stream.
	Client, Server float64
}

// A metric is one number of a sample.
type metric func(sample) float64

func rate(s sample) float64   { return s.Rate }
func p50(s sample) float64    { return s.P50 }
func p99(s sample) float64    { return s.P99 }
func cpu(s sample) float64    { return s.CPU }
func allocs(s sample) float64 { return s.Allocs }
func memory(s sample) float64 { return s.Client + s.Server }

// median returns the medians of all numbers of some samples, each for itself.
func median(samples []sample) sample {
	of := func(m metric) float64 {
		v := make([]float64, len(samples))
		for i, s := range samples {
			v[i] = m(s)
		}
		slices.Sort(v)
		n := len(v)
		return (v[(n-1)/2] + v[n/2]) / 2
	}
	return sample{
		Rate: of(rate), P50: of(p50), P99: of(p99), CPU: of(cpu), Allocs: of(allocs),
		Client: of(func(s sample) float64 { return s.Client }),
		Server: of(func(s sample) float64 { return s.Server }),
	}
}

// quantile returns the value that a part q of the sorted values lies below.
func quantile[T cmp.Ordered](sorted []T, q float64) T {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }

// A column is a metric with its name.
type column struct {
	name string
	of   metric
	more bool // is better; otherwise less is
}

// better reports whether a is a better number than b.
func (c column) better(a, b sample) bool {
	if c.more {
		return c.of(a) > c.of(b)
	}
	return c.of(a) < c.of(b)
}

// metricsOf returns the numbers that a kind has.
func metricsOf(c cell) []column {
	perSecond := func(what string) column { return column{name: what + "/s", of: rate, more: true} }
	half, most := column{name: "p50 us", of: p50}, column{name: "p99 us", of: p99}
	processor, objects := column{name: "CPU us", of: cpu}, column{name: "allocs", of: allocs}
	switch c.kind {
	case unary:
		return []column{perSecond("calls"), half, most, processor, objects}
	case talk:
		return []column{perSecond("turns"), half, most, processor, objects}
	case feed:
		return []column{perSecond("messages"), processor, objects}
	case paced:
		return []column{{name: "delay p50 us", of: p50}, {name: "delay p99 us", of: p99}, processor, perSecond("messages")}
	case pick:
		return []column{{name: "us", of: p50}, objects}
	case handshake:
		return []column{half, most, processor, objects}
	}
	return []column{{name: "KiB", of: memory}}
}
