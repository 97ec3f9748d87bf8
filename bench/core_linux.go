package main

import (
	"errors"
	"runtime"

	"golang.org/x/sys/unix"
)

// hasOneCore reports whether onOneCore can do what it says.
const hasOneCore = true

// onOneCore calls f on a thread that runs on one core alone. A process that f starts
// keeps to that core, and so do those that it starts.
//
// A call of one caller has two speeds where there are more cores: client and server
// run on one core, or on two, of which each has to be woken from idle twice in a
// call. The system changes from one to the other as it likes. On one core there is
// the first alone, for all libraries.
func onOneCore(f func() error) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	core := 0
	for !all.IsSet(core) {
		core++
	}
	one.Set(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.SchedSetaffinity(0, &all)) }()
	return f()
}
