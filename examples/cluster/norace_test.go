//go:build !race

package cluster_test

var buildArgs []string
