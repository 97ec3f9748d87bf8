package codec

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	goalsFlag = flag.Bool("goals", false, "measure and print what the codec is to reach")
	writeFlag = flag.String("write", "", "`page` to write the tables into as well, between the lines "+begin+" and "+end)
)

const (
	begin = "<!-- bench-codec begin -->"
	end   = "<!-- bench-codec end -->"
)

// What the codec is to reach with each message.
const (
	mostOfVT    = 1.5 // encode and decode, of the time of vtprotobuf
	leastFaster = 2   // the time of fxamacker and encoding/json, of ours
)

// A repetition takes the quickest of many short measurements, which what else
// the machine does disturbs least.
const (
	repetitions = 7
	rounds      = 30
	slice       = time.Millisecond
)

// A timing is how long a codec took with one message, in ns, by repetition.
type timing struct{ encode, decode, both []float64 }

// TestDecodingAllocatesWhatTheMessageNeeds compares with what making the
// message by hand takes.
func TestDecodingAllocatesWhatTheMessageNeeds(t *testing.T) {
	for _, m := range messages() {
		if got, want := decodeAllocs(t, m); got > want {
			t.Errorf("%s: %v allocations, the message needs %v", m.name, got, want)
		}
	}
}

// TestGoals prints the comparison. It runs with -goals only: see make
// bench-codec.
func TestGoals(t *testing.T) {
	if !*goalsFlag {
		t.Skip("measures only with -goals")
	}
	text := report(t)
	fmt.Print(text)
	if *writeFlag == "" {
		return
	}
	page, err := os.ReadFile(*writeFlag)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin+"\n")
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no lines %s and %s", *writeFlag, begin, end)
	}
	if err := os.WriteFile(*writeFlag, []byte(before+begin+"\n"+text+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// report measures and returns the tables.
func report(t *testing.T) string {
	var times, goals bytes.Buffer
	fmt.Fprintf(&times, "Written by `make bench-codec` on %s, %s, %s/%s: medians of %d\nrepetitions, each the quickest of %d measurements of %v, in turns.\n\n",
		time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH, repetitions, rounds, slice)
	fmt.Fprint(&times, "| ns to encode + decode | bytes |")
	for i, c := range messages()[0].codecs {
		if fmt.Fprintf(&times, " %s |", c.name); i == 0 {
			fmt.Fprint(&goals, "\n| message | of the time of vtprotobuf | of fxamacker's, ours | of encoding/json's, ours | allocations to encode | to decode |\n"+
				"|---|---|---|---|---|---|\n")
			fmt.Fprintf(&goals, "| to reach | at most %.1f | %d times faster | %d times faster | 0 | what the message needs |\n", mostOfVT, leastFaster, leastFaster)
		}
	}
	fmt.Fprint(&times, "\n|---|---|"+strings.Repeat("---|", len(messages()[0].codecs))+"\n")
	for _, m := range messages() {
		all := measure(t, m)
		b, err := m.codecs[0].encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&times, "| %s | %d |", m.name, len(b))
		both := map[string]float64{}
		for i, c := range m.codecs {
			both[c.name] = median(all[i].both)
			fmt.Fprintf(&times, " %.0f + %.0f |", median(all[i].encode), median(all[i].decode))
		}
		fmt.Fprintln(&times)
		ours := both["rpcnet"]
		vt, fx, js := ours/both["vtprotobuf"], both["fxamacker"]/ours, both["json"]/ours
		encode := encodeAllocs(m)
		decode, needed := decodeAllocs(t, m)
		fmt.Fprintf(&goals, "| %s | %s | %s | %s | %s | %s |\n", m.name,
			verdict(fmt.Sprintf("%.2f", vt), vt <= mostOfVT),
			verdict(fmt.Sprintf("%.1f", fx), fx >= leastFaster),
			verdict(fmt.Sprintf("%.1f", js), js >= leastFaster),
			verdict(fmt.Sprint(encode), encode == 0),
			verdict(fmt.Sprintf("%v, needs %v", decode, needed), decode <= needed))
	}
	return times.String() + goals.String()
}

func verdict(text string, reached bool) string {
	if reached {
		return text
	}
	return text + " **missed**"
}

// measure times every codec with m, in turns; the order rotates.
func measure(t *testing.T, m message) []timing {
	out := make([]timing, len(m.codecs))
	inputs := make([][]byte, len(m.codecs))
	buf := make([]byte, 0, 8192)
	encode := func(i int) (err error) { buf, err = m.codecs[i].encode(buf[:0]); return err }
	decode := func(i int) error { _, err := m.codecs[i].decode(inputs[i]); return err }
	for i, c := range m.codecs {
		var err error
		if inputs[i], err = c.encode(nil); err != nil {
			t.Fatal(err)
		}
	}
	for range repetitions {
		enc, dec := make([]float64, len(out)), make([]float64, len(out))
		for r := range rounds {
			for k := range out {
				i := (r + k) % len(out)
				e, d := timed(t, encode, i), timed(t, decode, i)
				if r == 0 || e < enc[i] {
					enc[i] = e
				}
				if r == 0 || d < dec[i] {
					dec[i] = d
				}
			}
		}
		for i := range out {
			out[i].encode = append(out[i].encode, enc[i])
			out[i].decode = append(out[i].decode, dec[i])
			out[i].both = append(out[i].both, enc[i]+dec[i])
		}
	}
	return out
}

// timed returns how many ns f takes, on average over a slice of time.
func timed(t *testing.T, f func(int) error, i int) float64 {
	n := 0
	start := time.Now()
	for batch := 16; ; {
		for range batch {
			if err := f(i); err != nil {
				t.Fatal(err)
			}
		}
		n += batch
		if took := time.Since(start); took >= slice {
			return float64(took) / float64(n)
		}
		batch = max(16, n/4)
	}
}

func median(ns []float64) float64 {
	return slices.Sorted(slices.Values(ns))[len(ns)/2]
}

// encodeAllocs returns the allocations of encoding m into a buffer.
func encodeAllocs(m message) float64 {
	b := make([]byte, 0, 8192)
	return testing.AllocsPerRun(200, func() { b, _ = m.codecs[0].encode(b[:0]) })
}

// decodeAllocs returns the allocations of decoding m, and of making it by hand.
func decodeAllocs(t *testing.T, m message) (got, needed float64) {
	c := m.codecs[0]
	b, err := c.encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return testing.AllocsPerRun(200, func() { c.decode(b) }), needs(reflect.ValueOf(v))
}

// needs returns the allocations that v is made of.
func needs(v reflect.Value) (n float64) {
	switch v.Kind() {
	case reflect.Pointer:
		return 1 + needs(v.Elem())
	case reflect.String:
		if v.Len() > 0 {
			n = 1
		}
	case reflect.Slice:
		if v.Len() > 0 {
			n = 1
		}
		for i := range v.Len() {
			n += needs(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += needs(v.Field(i))
		}
	case reflect.Map:
		of := v.Interface().(map[string]string)
		n = testing.AllocsPerRun(200, func() {
			made = make(map[string]string, len(of))
			for k, v := range of {
				made[k] = v
			}
		})
		for k, v := range of {
			n += needs(reflect.ValueOf(k)) + needs(reflect.ValueOf(v))
		}
	}
	return n
}

var made map[string]string
