package hook

import "context"

type detectorKey struct{}

// WithDetector returns a context for Joins whose nodes call take. The function that
// take receives describes the node's partition detector in one line, so that a
// verdict that did not come can be understood. It is safe for concurrent use, also
// after the node has stopped.
func WithDetector(ctx context.Context, take func(read func() string)) context.Context {
	return context.WithValue(ctx, detectorKey{}, take)
}

// Detector passes read to the function that [WithDetector] has put into ctx, if
// any.
func Detector(ctx context.Context, read func() string) {
	if take, ok := ctx.Value(detectorKey{}).(func(func() string)); ok {
		take(read)
	}
}
