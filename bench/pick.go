package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// pickPackage has BenchmarkPick, which picks a worker without a network. Its
// benchmarks are named by strategy and number of workers.
const pickPackage = "internal/load"

// pickWorkers are how many workers a pick is among.
var pickWorkers = []int{10, 100, 1000, 10_000}

// strategyLibraries returns a library for each strategy: all that is measured of it is
// what a pick costs.
func strategyLibraries() []*library {
	var all []*library
	for _, name := range balance.Names() {
		all = append(all, &library{name: name, module: rpcnetModule, strategy: true})
	}
	return all
}

// pickCells returns a cell for each number of workers.
func pickCells() []cell {
	var all []cell
	for _, n := range pickWorkers {
		all = append(all, cell{kind: pick, workers: n})
	}
	return all
}

// buildPicks builds the test program of pickPackage in dir and returns its path.
func buildPicks(dir string) (string, error) {
	program := filepath.Join(dir, "picks.test")
	cmd := exec.Command("go", "test", "-c", "-o", program, "./"+pickPackage)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go test -c ./%s: %w\n%s", pickPackage, err, out)
	}
	return program, nil
}

// measurePick runs the benchmark of one strategy and number of workers.
func measurePick(program string, c cell, strategy string, d time.Duration) (sample, error) {
	name := fmt.Sprintf("BenchmarkPick/%s/%d", strategy, c.workers)
	anchored := "^" + strings.ReplaceAll(name, "/", "$/^") + "$"
	out, err := exec.Command(program, "-test.run=^$", "-test.bench="+anchored, "-test.benchmem", "-test.benchtime="+d.String()).CombinedOutput()
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return parseBenchmark(out, name)
}

// parseBenchmark returns what a Go benchmark printed of the time and of the
// allocations of one operation.
func parseBenchmark(out []byte, name string) (sample, error) {
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		// Name-cores, how often, then pairs of a number and a unit.
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[0] != name && !strings.HasPrefix(fields[0], name+"-") {
			continue
		}
		var s sample
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return sample{}, fmt.Errorf("%s: %w", name, err)
			}
			switch fields[i+1] {
			case "ns/op":
				s.P50 = v / 1e3
			case "allocs/op":
				s.Allocs = v
			}
		}
		return s, nil
	}
	return sample{}, errors.Join(fmt.Errorf("%s printed no numbers", name), lines.Err())
}
