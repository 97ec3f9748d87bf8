//go:build unix

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
)

// runSoak runs a large cluster for long, with 5 % of packets lost and a node
// that leaves, is killed or restarts every few seconds. It checks that no other
// node is declared failed, and that neither memory nor goroutines grow.
func runSoak(n int, length time.Duration) error {
	f := emptyFleet(cluster.Config{Profile: "large"})
	defer f.close()
	for range n {
		if err := f.add(); err != nil {
			return err
		}
	}
	d, err := f.whole(time.Now(), 2*time.Minute)
	if err != nil {
		return fmt.Errorf("forming: %w", err)
	}
	fmt.Printf("%d nodes on %s: whole %v after the last Join\n", n, machine(), d.Round(time.Millisecond))
	f.net.Loss(0.05)
	gone := map[string]bool{} // boots that were killed or left
	start := time.Now()
	falseDeaths := func() int {
		return f.count(start, func(e cluster.Event) bool { return e.Kind == cluster.KindNodeFailed && !gone[e.Member.Boot] })
	}
	report := func() (mem, goroutines float64) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		mem, goroutines = float64(m.HeapAlloc)/(1<<20), float64(runtime.NumGoroutine())/float64(len(f.ships))
		fmt.Printf("%6v: %d nodes, %d false NodeFailed, heap %.0f MiB, %.1f goroutines a node, resident %s\n",
			time.Since(start).Round(time.Second), len(f.ships), falseDeaths(), mem, goroutines, resident())
		return mem, goroutines
	}
	time.Sleep(min(10*time.Second, length/10))
	mem0, go0 := report()
	next := time.Now().Add(time.Minute)
	for time.Since(start) < length {
		time.Sleep(3 * time.Second)
		s := f.ships[rand.N(len(f.ships))]
		gone[s.node.Self().Boot] = true
		switch rand.N(3) {
		case 0: // killed; another comes
			f.kill(s)
			if err := f.add(); err != nil {
				return err
			}
		case 1: // restarted
			s.node.Close()
			<-s.watch
			if err := f.join(s); err != nil {
				return err
			}
		case 2: // tags
			delete(gone, s.node.Self().Boot)
			if err := s.node.UpdateTags(cluster.Tags{"v": fmt.Sprint(rand.N(1000))}); err != nil {
				return err
			}
		}
		if time.Now().After(next) {
			next = time.Now().Add(time.Minute)
			report()
		}
	}
	if d, err = f.whole(time.Now(), time.Minute); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	fmt.Printf("whole %v after the last change\n", d.Round(time.Millisecond))
	f.trim()
	mem1, go1 := report()
	switch k := falseDeaths(); {
	case k > 0:
		return fmt.Errorf("%d false NodeFailed", k)
	case go1 > go0+2:
		return fmt.Errorf("goroutines a node grew from %.1f to %.1f", go0, go1)
	case mem1 > 1.5*mem0+16:
		return fmt.Errorf("the heap grew from %.0f to %.0f MiB", mem0, mem1)
	}
	return nil
}

// trim drops the recorded events, which are the benchmark's own memory, but for
// failures.
func (f *fleet) trim() {
	for _, s := range f.ships {
		s.mu.Lock()
		var kept []cluster.Event
		for _, e := range s.events {
			if e.Kind == cluster.KindNodeFailed {
				kept = append(kept, e)
			}
		}
		s.events = kept
		s.mu.Unlock()
	}
}

func resident() string {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "unknown"
	}
	for l := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(l, "VmRSS:"); ok {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}
