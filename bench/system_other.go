//go:build !unix

package main

import "time"

// onlyUnix is why the comparison compiles elsewhere and does not run.
const onlyUnix = "bench needs getrusage and a clock that processes share: run it on Linux, macOS or a BSD"

// processorTime panics.
func processorTime() time.Duration { panic(onlyUnix) }

// monotonic panics.
func monotonic() time.Duration { panic(onlyUnix) }

// release returns the version of the system.
func release() string { return "unknown" }
