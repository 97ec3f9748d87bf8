//go:build !race

package stub_test

const raceEnabled = false
