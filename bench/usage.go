package main

import (
	"encoding/binary"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// A usage is what a process has used since it started.
type usage struct {
	CPU     time.Duration // user and system
	Mallocs uint64
	Memory  uint64 // heap and stacks in use now, in bytes
}

// usageNow returns the usage of this process; settled means after garbage
// collection.
func usageNow(settled bool) usage {
	if settled {
		runtime.GC() // twice: the first leaves what pools hold
		debug.FreeOSMemory()
	}
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		panic(err) // only a wrong argument can fail
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{
		CPU:     time.Duration(ru.Utime.Nano() + ru.Stime.Nano()),
		Mallocs: m.Mallocs,
		Memory:  m.HeapAlloc + m.StackInuse,
	}
}

// add returns the sum of two processes.
func (u usage) add(v usage) usage {
	return usage{u.CPU + v.CPU, u.Mallocs + v.Mallocs, u.Memory + v.Memory}
}

// The clock that both processes read: CLOCK_MONOTONIC, which Go's own
// monotonic time counts on, from another origin.
var (
	clockBase   = time.Now()
	clockOrigin = monotonic() - time.Since(clockBase)
)

func monotonic() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // every supported system has it
	}
	return time.Duration(t.Nano())
}

func clock() time.Duration { return clockOrigin + time.Since(clockBase) }

// stamp writes the time at the beginning of a message.
func stamp(data []byte) { binary.LittleEndian.PutUint64(data, uint64(clock())) }

// age returns how long ago a message was stamped.
func age(data []byte) time.Duration {
	return clock() - time.Duration(binary.LittleEndian.Uint64(data))
}
