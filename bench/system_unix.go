//go:build unix

package main

import (
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// processorTime returns the user and system time that this process has used.
func processorTime() time.Duration {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		panic(err) // only a wrong argument can fail
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// monotonic returns the time of CLOCK_MONOTONIC.
func monotonic() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // every supported system has it
	}
	return time.Duration(t.Nano())
}

// release returns the kernel's major and minor version.
func release() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	parts := strings.SplitN(unix.ByteSliceToString(u.Release[:]), ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
