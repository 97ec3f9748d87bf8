package rpcnet

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// A Call is the caller's view of the calls made with one context: what was
// chosen for them, and what came back from the last. Signatures of contracts
// stay plain Go because this travels in the context. Its methods are safe for
// concurrent use; the results are complete once the call has ended.
type Call struct {
	opts callConfig // immutable after NewCall

	mu       sync.Mutex
	header   Header
	trailer  Header
	peer     Peer
	attempts int
	first    time.Duration
	total    time.Duration
}

type callKey struct{}

// NewCall returns a context whose options apply to the calls made with it, and
// the record of the last of them. Options of an outer NewCall apply too. A
// handler never sees its caller's record: nothing is passed on by accident.
func NewCall(ctx context.Context, opts ...CallOption) (context.Context, *Call) {
	c := new(Call)
	if _, outer := callOptions(ctx); outer != &noCallOptions {
		c.opts = *outer
		c.opts.header = maps.Clone(outer.header)
	}
	for _, o := range opts {
		o.applyCall(&c.opts)
	}
	return context.WithValue(ctx, callKey{}, c), c
}

func callFrom(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	return c
}

// withDefaults applies a client's options to the calls made with ctx, below
// those ctx brings itself.
func withDefaults(ctx context.Context, opts []CallOption) context.Context {
	outer, chosen := callOptions(ctx)
	if outer == nil {
		ctx, _ = NewCall(ctx, opts...)
		return ctx
	}
	merged := &mergedCall{outer: outer}
	for _, o := range opts {
		o.applyCall(&merged.opts)
	}
	merged.opts.override(chosen)
	return context.WithValue(ctx, mergedKey{}, merged)
}

// A mergedCall is the record of outer with a client's defaults below its
// options.
type mergedCall struct {
	outer *Call
	opts  callConfig
}

type mergedKey struct{}

// callOptions returns the record (nil if the caller keeps none) and the
// options of a call made with ctx.
func callOptions(ctx context.Context) (*Call, *callConfig) {
	c := callFrom(ctx)
	if c == nil {
		return nil, &noCallOptions
	}
	if m, ok := ctx.Value(mergedKey{}).(*mergedCall); ok && m.outer == c { // not of before c
		return c, &m.opts
	}
	return c, &c.opts
}

var noCallOptions callConfig

// callConfig is what the call options choose.
type callConfig struct {
	header       Header
	priority     int8
	attempt      int
	maxSize      int
	encoding     Encoding
	limits       *cbor.Limits
	waitForReady bool
}

func (c *callConfig) override(o *callConfig) {
	if len(o.header) > 0 {
		h := maps.Clone(o.header)
		for k, v := range c.header {
			if _, set := h[k]; !set {
				h[k] = v
			}
		}
		c.header = h
	}
	if o.priority != 0 {
		c.priority = o.priority
	}
	if o.attempt != 0 {
		c.attempt = o.attempt
	}
	if o.maxSize != 0 {
		c.maxSize = o.maxSize
	}
	if o.encoding != 0 {
		c.encoding = o.encoding
	}
	if o.limits != nil {
		c.limits = o.limits
	}
	c.waitForReady = c.waitForReady || o.waitForReady
}

// A CallOption configures one call. As a [ClientOption] it is the default of
// all calls of a client.
type CallOption interface {
	ClientOption
	applyCall(*callConfig)
}

type callOption func(*callConfig)

func (f callOption) applyCall(c *callConfig)     { f(c) }
func (f callOption) applyClient(c *clientConfig) { c.call = append(c.call, f) }

// WithHeader sends values under key with the call, in place of earlier ones.
// What [Header.Validate] refuses fails the call.
func WithHeader(key string, values ...string) CallOption {
	return callOption(func(c *callConfig) {
		h := maps.Clone(c.header)
		if h == nil {
			h = Header{}
		}
		h.Set(key, values...)
		c.header = h
	})
}

// WithPriority sends a priority with the call. This package does nothing with
// it: it is for the server's interceptors, which find it in
// [ServerCall.Priority], to shed load by. Default 0.
func WithPriority(p int8) CallOption { return callOption(func(c *callConfig) { c.priority = p }) }

// WithAttempt numbers the tries of one logical call, from 0, so that a handler
// can tell a late one ([ServerCall.Attempt]); at most 255. Transports that try
// again set it themselves.
func WithAttempt(n int) CallOption {
	return callOption(func(c *callConfig) { c.attempt = min(max(n, 0), 255) })
}

// WithWaitForReady lets a call wait for a connection, as long as its context
// allows, instead of failing with CodeUnavailable while there is none. A unary
// call that a draining server refused, so that no handler saw it, is sent again;
// a stream is once it has been sent the caller's to open anew. Default off.
func WithWaitForReady() CallOption {
	return callOption(func(c *callConfig) { c.waitForReady = true })
}

// WithEncoding chooses the encoding of the messages. Default: the contract's.
func WithEncoding(e Encoding) CallOption { return callOption(func(c *callConfig) { c.encoding = e }) }

// Header returns the metadata the server sent before its first response.
func (c *Call) Header() Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.header
}

// Trailer returns the metadata the server sent with the end of the call.
func (c *Call) Trailer() Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trailer
}

// Peer returns who served the call.
func (c *Call) Peer() Peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peer
}

// Attempts returns how often the call was sent.
func (c *Call) Attempts() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.attempts
}

// Timings returns how long the first response took and how long the call, from
// its start; 0 for what has not happened, as the first response of a call that
// failed without one.
func (c *Call) Timings() (first, total time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first, c.total
}
