package failover_test

import (
	"math/rand/v2"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/failover"
)

// A frame is one message of a simulated worker. text commits to the whole
// prefix it continues, so that a mixture of two workers' texts shows.
type frame struct {
	attempt int
	seq     uint64
	text    uint64
	end     bool // the clean end; seq is then the last sequence
}

// continues is the token after prefix; salt makes each worker's text its own.
func continues(prefix, salt uint64) uint64 { return prefix*6364136223846793005 + salt%(1<<24) }

func isContinuation(prefix, token uint64) bool { return token-prefix*6364136223846793005 < 1<<24 }

func extend(prefix, token uint64) uint64 { return (prefix ^ token) * 0x9e3779b97f4a7c15 }

// A worker generates from what the client had accepted when the attempt began. It
// goes on as a zombie when the client has given it up.
type worker struct {
	attempt int
	at      uint64
	prefix  uint64
	alive   bool
	salt    *rand.Rand
}

// outcome is what went wrong with one stream.
type outcome struct{ lost, twice, broken, stuck bool }

// stream runs one stream of up to 64 messages under random faults: crashes that
// lose frames under way or do not, partitions that leave a zombie, frames of
// several attempts arriving in any order among them, duplicated frames, lost
// frames, a lost tail before the end.
func stream(r *rand.Rand) (o outcome) {
	var c failover.Cursor
	length := uint64(5 + r.IntN(60))
	prefix := uint64(42)
	var accepted []uint64
	var under []frame
	var workers []*worker
	start := func() {
		workers = append(workers, &worker{attempt: c.Attempt(), at: c.Last(), prefix: prefix, alive: true,
			salt: rand.New(rand.NewPCG(r.Uint64(), 1))})
	}
	resume := func() {
		if _, err := c.Resume(); err != nil {
			c.Move() // the limit has its own test: here only the order matters
		}
		start()
	}
	start()
	for step := range 20000 {
		for _, w := range workers {
			if !w.alive || w.at > length || r.Float64() < .3 {
				continue
			}
			w.at++
			if w.at > length {
				under = append(under, frame{w.attempt, length, 0, true})
				continue
			}
			tok := continues(w.prefix, w.salt.Uint64())
			w.prefix = extend(w.prefix, tok)
			under = append(under, frame{w.attempt, w.at, tok, false})
		}
		current := workers[len(workers)-1]
		switch p := r.Float64(); {
		case step > 300: // faults come to an end, so every stream must
		case p < .015: // crash
			current.alive = false
			if r.IntN(2) == 0 {
				kept := under[:0]
				for _, f := range under {
					if f.attempt != current.attempt {
						kept = append(kept, f)
					}
				}
				under = kept
			}
			resume()
		case p < .03: // partition: the zombie goes on, its frames arrive late
			resume()
		case p < .04: // drain
			c.Move()
			start()
		case p < .05 && len(under) > 0: // a frame is lost
			i := r.IntN(len(under))
			under = append(under[:i], under[i+1:]...)
		case p < .06 && len(under) > 0: // or comes twice
			under = append(under, under[r.IntN(len(under))])
		}
		if len(under) == 0 {
			if !current.alive || current.at > length {
				resume() // stalled: what was under way is lost
			}
			continue
		}
		i := r.IntN(len(under))
		if step > 300 || r.IntN(50) > 0 { // nearly always in order within an attempt
			for j := range under {
				if under[j].attempt == under[i].attempt {
					i = j
					break
				}
			}
		}
		f := under[i]
		under = append(under[:i], under[i+1:]...)
		verdict := failover.Drop
		if f.end {
			verdict = c.End(f.attempt, f.seq)
		} else {
			verdict = c.Message(f.attempt, f.seq)
		}
		switch {
		case verdict == failover.Gap:
			resume()
		case verdict == failover.Accept && f.end:
			return judge(accepted, length, o)
		case verdict == failover.Accept:
			if !isContinuation(prefix, f.text) {
				o.broken = true
			}
			prefix = extend(prefix, f.text)
			accepted = append(accepted, f.seq)
		}
	}
	o.stuck = true
	return o
}

func judge(accepted []uint64, length uint64, o outcome) outcome {
	seen := make([]int, length+1)
	for _, s := range accepted {
		seen[s]++
	}
	for _, n := range seen[1:] {
		o.lost = o.lost || n == 0
		o.twice = o.twice || n > 1
	}
	return o
}

// TestTwentyThousandStreamsUnderRandomFaultsArriveWhole is the proof of the
// rules in the package comment. Its seed is fixed; the fuzzer below varies it.
func TestTwentyThousandStreamsUnderRandomFaultsArriveWhole(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 7))
	for i := range 20000 {
		if o := stream(r); o != (outcome{}) {
			t.Fatalf("stream %d: %+v", i, o)
		}
	}
}

func FuzzResume(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		if o := stream(rand.New(rand.NewPCG(a, b))); o != (outcome{}) {
			t.Fatalf("%+v", o)
		}
	})
}
