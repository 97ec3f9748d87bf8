package main

import (
	"encoding/binary"
	"runtime"
	"runtime/debug"
	"time"
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
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{
		CPU:     processorTime(),
		Mallocs: m.Mallocs,
		Memory:  m.HeapAlloc + m.StackInuse,
	}
}

// add returns the sum of two processes.
func (u usage) add(v usage) usage {
	return usage{u.CPU + v.CPU, u.Mallocs + v.Mallocs, u.Memory + v.Memory}
}

// The clock that both processes read. Go's own monotonic time counts on it too,
// from another origin.
var (
	clockBase   = time.Now()
	clockOrigin = monotonic() - time.Since(clockBase)
)

func clock() time.Duration { return clockOrigin + time.Since(clockBase) }

// stamp writes the time at the beginning of a message.
func stamp(data []byte) { binary.LittleEndian.PutUint64(data, uint64(clock())) }

// age returns how long ago a message was stamped.
func age(data []byte) time.Duration {
	return clock() - time.Duration(binary.LittleEndian.Uint64(data))
}
