// Package inspect lets tests and benchmarks of this module read what a node
// decides by and tells nobody, so that a verdict which did not come can be
// understood.
package inspect

import "context"

type detectorKey struct{}

// WithDetector returns a context whose Joins hand take a function that says in
// one line how the node's partition detector stands. That function is safe for
// concurrent use, after the node has stopped too.
func WithDetector(ctx context.Context, take func(read func() string)) context.Context {
	return context.WithValue(ctx, detectorKey{}, take)
}

// Detector hands read to whoever asked for it with [WithDetector].
func Detector(ctx context.Context, read func() string) {
	if take, ok := ctx.Value(detectorKey{}).(func(func() string)); ok {
		take(read)
	}
}
