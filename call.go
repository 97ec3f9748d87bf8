package rpcnet

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// CallOptions are what a caller chooses for its calls: for those made with one
// context ([NewCall]), or as the defaults of a client ([ClientConfig]). Zero
// fields choose nothing. Where several CallOptions apply to a call, the fields of
// the inner one that are not zero replace those of the outer one; of Header, the
// keys do.
type CallOptions struct {
	// Header is the metadata that is sent with the call. Keys in upper case are
	// lower-cased. What [Header.Validate] refuses fails the call.
	Header Header
	// Priority is sent with the call. This package does nothing with it: the
	// server's interceptors find it in [ServerCall.Priority], to shed load by.
	Priority int8
	// Encoding is the encoding of the messages: "cbor", "json", or "proto" for
	// contracts of protobuf messages. Default: the contract's.
	Encoding string
	// WaitForReady lets a call wait for a connection, as long as its context
	// allows. Without it a call fails with CodeUnavailable while there is none. A
	// unary call that a draining server refused, so that no handler saw it, is sent
	// again; a stream is the caller's to open anew.
	WaitForReady bool
	// MaxMessageSize limits one message in bytes, in either direction. Default
	// 4 MiB. A negative number sets the limit to 1 GiB, the most there is.
	MaxMessageSize int
	// DecodeLimits bound what decoding one message may cost. What is sent is held
	// to the wider of these limits and the defaults, so that a message that its
	// receiver would refuse fails where it is made. Raise a limit on both sides.
	DecodeLimits DecodeLimits
	// Attempt numbers the attempts of one logical call, from 0 to 255, so that a
	// handler can recognize a late one ([ServerCall.Attempt]). Transports that try
	// again set it themselves. Numbers outside the range become its nearest end.
	Attempt int
	// Ticket is what a worker was assigned with (workers.Assignment); it tells the
	// worker which choice brought the call.
	Ticket []byte

	// The fields below are for transports that choose among workers, such as
	// workers.Client and director.Client. A [Conn] ignores them.

	// Selector restricts the choice to workers whose tags match, in addition to
	// the client's own selector.
	Selector string
	// AffinityKey sends calls with the same key to the same worker, as far as the
	// strategy allows. It replaces the key that the procedure's route= computes.
	AffinityKey string
	// LastWorker is the name of the worker that served the session before.
	LastWorker string
	// Idempotent allows a second attempt of the call, for procedures whose
	// contract does not say so.
	Idempotent bool
	// ServedBy is called with each worker that answers the call and its address,
	// from the goroutine that receives the answer.
	ServedBy func(to Target, addr string)
}

// DecodeLimits bound what decoding one message may cost. Zero fields have their
// defaults.
type DecodeLimits = cbor.Limits

// A RawMessage is one value of CBOR as it was sent: a field of a contract that is
// decoded later, or not at all.
type RawMessage = cbor.Raw

// A Call is the caller's view of the calls made with one context: what was
// chosen for them, and what came back from the last. Signatures of contracts
// stay plain Go because this travels in the context. Its methods are safe for
// concurrent use; the results are complete once the call has ended.
type Call struct {
	opts   CallOptions // immutable
	record *record     // own, or that of the Call this one was derived from
	own    record
}

// callKey is the key of a Call in its context.
type callKey struct{}

// NewCall returns a context whose options apply to the calls made with it, and
// the record of the last of them. Options of an outer NewCall apply where those
// given here are zero. A handler never sees its caller's options or record:
// nothing is passed on by accident.
func NewCall(ctx context.Context, opts CallOptions) (context.Context, *Call) {
	c := new(Call)
	c.record = &c.own
	if outer := CallFrom(ctx); outer != nil {
		c.opts = outer.opts
	}
	c.opts.override(&opts)
	return context.WithValue(ctx, callKey{}, c), c
}

// CallFrom returns the options and the record of the calls made with ctx (see
// [NewCall]), nil if there are none. It is for transports, which must not put a
// record of their own in place of the caller's.
func CallFrom(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	return c
}

// withDefaults applies a client's options to the calls made with ctx, below
// those ctx brings itself. The record stays that of ctx.
func withDefaults(ctx context.Context, defaults *CallOptions) context.Context {
	outer := CallFrom(ctx)
	if outer == nil {
		ctx, _ = NewCall(ctx, *defaults)
		return ctx
	}
	c := &Call{opts: *defaults, record: outer.record}
	c.opts.override(&outer.opts)
	return context.WithValue(ctx, callKey{}, c)
}

// callOptions returns the record (nil if there is none) and the options of a
// call made with ctx.
func callOptions(ctx context.Context) (*record, *CallOptions) {
	if c := CallFrom(ctx); c != nil {
		return c.record, &c.opts
	}
	return nil, &noCallOptions
}

// noCallOptions is what callOptions returns if nothing was chosen.
var noCallOptions CallOptions

// zero reports whether nothing is chosen.
func (o *CallOptions) zero() bool {
	return len(o.Header) == 0 && o.Priority == 0 && o.Encoding == "" && !o.WaitForReady && o.MaxMessageSize == 0 &&
		o.DecodeLimits == DecodeLimits{} && o.Attempt == 0 && len(o.Ticket) == 0 && o.Selector == "" && o.AffinityKey == "" &&
		o.LastWorker == "" && !o.Idempotent && o.ServedBy == nil
}

// override replaces what inner chooses. It changes no map of either.
func (o *CallOptions) override(inner *CallOptions) {
	o.Header = o.Header.with(inner.Header)
	if inner.Priority != 0 {
		o.Priority = inner.Priority
	}
	if inner.Encoding != "" {
		o.Encoding = inner.Encoding
	}
	o.WaitForReady = o.WaitForReady || inner.WaitForReady
	if inner.MaxMessageSize != 0 {
		o.MaxMessageSize = inner.MaxMessageSize
	}
	if inner.DecodeLimits != (DecodeLimits{}) {
		o.DecodeLimits = inner.DecodeLimits
	}
	if inner.Attempt != 0 {
		o.Attempt = inner.Attempt
	}
	if len(inner.Ticket) > 0 {
		o.Ticket = inner.Ticket
	}
	if inner.Selector != "" {
		o.Selector = inner.Selector
	}
	if inner.AffinityKey != "" {
		o.AffinityKey = inner.AffinityKey
	}
	if inner.LastWorker != "" {
		o.LastWorker = inner.LastWorker
	}
	o.Idempotent = o.Idempotent || inner.Idempotent
	if inner.ServedBy != nil {
		o.ServedBy = inner.ServedBy
	}
}

// with returns a Header of h and inner, whose values replace those of h. Keys are
// lower-cased; where two of inner differ in case alone, the values of both count,
// in the order of the keys.
func (h Header) with(inner Header) Header {
	if len(inner) == 0 {
		return h
	}
	out := make(Header, len(h)+len(inner))
	maps.Copy(out, h)
	if !slices.ContainsFunc(slices.Collect(maps.Keys(inner)), hasUpper) {
		for k, v := range inner {
			out[k] = slices.Clone(v)
		}
		return out
	}
	fresh := make(Header, len(inner))
	for _, k := range slices.Sorted(maps.Keys(inner)) {
		low := lower(k)
		fresh[low] = append(fresh[low], inner[k]...)
	}
	maps.Copy(out, fresh)
	return out
}

// ticketKey is the metadata that carries [CallOptions].Ticket.
const ticketKey = "rpcnet-ticket-bin"

// loadKey is the trailer in which a worker tells its load.
const loadKey = "rpcnet-load-bin"

// metadata returns the metadata of the call as it is sent, nil for none.
func (o *CallOptions) metadata() Header {
	if len(o.Ticket) == 0 {
		return o.Header
	}
	h := make(Header, len(o.Header)+1)
	maps.Copy(h, o.Header)
	h[ticketKey] = []string{string(o.Ticket)}
	return h
}

// Options returns what applies to the calls made with the context, that of a
// client's defaults included. It works on a nil Call, for which nothing is chosen.
// The caller must not change what the fields refer to.
func (c *Call) Options() CallOptions {
	if c == nil {
		return CallOptions{}
	}
	return c.opts
}

// A record is what came back from the last call.
type record struct {
	mu       sync.Mutex
	header   Header
	trailer  Header
	peer     Peer
	attempts int
	first    time.Duration
	total    time.Duration
}

// Header returns the metadata the server sent before its first response.
func (c *Call) Header() Header {
	c.record.mu.Lock()
	defer c.record.mu.Unlock()
	return c.record.header
}

// Trailer returns the metadata the server sent with the end of the call.
func (c *Call) Trailer() Header {
	c.record.mu.Lock()
	defer c.record.mu.Unlock()
	return c.record.trailer
}

// Peer returns who served the call.
func (c *Call) Peer() Peer {
	c.record.mu.Lock()
	defer c.record.mu.Unlock()
	return c.record.peer
}

// Attempts returns how often the call was sent.
func (c *Call) Attempts() int {
	c.record.mu.Lock()
	defer c.record.mu.Unlock()
	return c.record.attempts
}

// Timings returns how long the first response took and how long the call, from
// its start; 0 for what has not happened, as the first response of a call that
// failed without one.
func (c *Call) Timings() (first, total time.Duration) {
	c.record.mu.Lock()
	defer c.record.mu.Unlock()
	return c.record.first, c.record.total
}

// begin notes the start of a call, or of another attempt of it.
func (r *record) begin(p Peer) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts++
	r.peer = p
	r.header, r.trailer, r.first, r.total = nil, nil, 0, 0
	return time.Now()
}

// responded notes the first response.
func (r *record) responded(begun time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.first = time.Since(begun)
}

// setHeader notes the metadata that came ahead of the first response, or says
// what is wrong with it.
func (r *record) setHeader(encoded []byte) error {
	h, err := parseHeader(encoded)
	if err != nil {
		return Errorf(CodeInternal, "the response's header: %s", err.Message())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.header = h
	return nil
}

// setTrailer does the same for the metadata that came with the end.
func (r *record) setTrailer(h Header) error {
	if err := h.Validate(); err != nil {
		return Errorf(CodeInternal, "the response's trailer: %s", err.(*Error).Message())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trailer = h
	return nil
}

// end notes the end of a call.
func (r *record) end(begun time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total = time.Since(begun)
}
