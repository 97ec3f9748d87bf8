package testkit

import "context"

// Echo is a handler that returns its input.
func Echo(_ context.Context, in []byte) ([]byte, error) { return in, nil }
