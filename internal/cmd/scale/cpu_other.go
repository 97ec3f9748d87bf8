//go:build !unix

package main

import "time"

// cpuTime returns 0: the processor time of a process is only read on Unix.
func cpuTime() time.Duration { return 0 }

// cpuTimeOf returns 0.
func cpuTimeOf(int) time.Duration { return 0 }
