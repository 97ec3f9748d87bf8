//go:build race

package cluster_test

// buildArgs make the programs under test race detectors too.
var buildArgs = []string{"-race"}
