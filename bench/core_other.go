//go:build !linux

package main

import "errors"

// hasOneCore reports whether onOneCore can do what it says.
const hasOneCore = false

// onOneCore returns an error: there is no portable way.
func onOneCore(func() error) error { return errors.New("one core: only on Linux") }
