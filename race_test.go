//go:build race

package rpcnet_test

const raceEnabled = true
