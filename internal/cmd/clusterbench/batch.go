//go:build unix

package main

import (
	"sync"
	"time"
)

// Most rows wait more than they compute: a split of a minute is a minute of
// nothing. A batch is some runs of one row at the same time, each with a fleet
// of its own. What does cost time of the processor, the building of a fleet, is
// done one run after another and before anything is measured, and what is
// measured begins a little later in each run, so that the runs are busy at
// different moments.
type batch struct {
	building sync.Mutex
	turns    int            // guarded by building
	built    sync.WaitGroup // until each run has built its fleet, or will not
}

// stagger is how much later each run of a batch begins than the one before it:
// a split of 20 nodes has healed in less.
const stagger = time.Second

// A berth is the place of one run in its batch.
type berth struct {
	batch   *batch
	turn    int
	holding bool
	arrived sync.Once
}

// begin waits for the turn to build.
func (b *berth) begin() {
	b.batch.building.Lock()
	b.holding = true
	b.turn = b.batch.turns
	b.batch.turns++
}

// ready says that the fleet stands, and returns when all of the batch do and it
// is time for this run to begin.
func (b *berth) ready() {
	b.release()
	b.batch.built.Wait()
	time.Sleep(time.Duration(b.turn) * stagger)
}

// release gives the turn to the next berth. It is idempotent.
func (b *berth) release() {
	if b.holding {
		b.holding = false
		b.batch.building.Unlock()
	}
	b.arrived.Do(b.batch.built.Done)
}

// An outcome is what one run has measured for one line of the table: samples, or
// why there are none; neither if the run did not come to it.
type outcome struct {
	samples []float64
	err     error
}

// runBatch does size runs of the row at the same time and returns the outcomes
// of each, one for every line.
func runBatch(r row, size int) [][]outcome {
	b := &batch{}
	b.built.Add(size)
	all := make([][]outcome, size)
	var wg sync.WaitGroup
	for i := range size {
		wg.Go(func() {
			place := &berth{batch: b}
			defer place.release()
			got, err := r.run(place)
			if err != nil {
				got = make([]outcome, len(r.lines))
				for j := range got {
					got[j].err = err
				}
			}
			all[i] = got
		})
	}
	wg.Wait()
	return all
}
