package rpcnet

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// Options are sealed interfaces, so that one for a server does not compile
// where a client is made.
type (
	// A ServerOption configures a [Server].
	ServerOption interface{ applyServer(*serverConfig) }
	// An EndpointOption configures [Listen].
	EndpointOption interface{ applyEndpoint(*endpointConfig) }
	// A DialOption configures [Dial] and [Endpoint.Dial].
	DialOption interface{ applyDial(*dialConfig) }
)

type serverConfig struct {
	interceptors []ServerInterceptor
	maxSize      int
	limits       cbor.Limits
	errorText    bool
	logger       *slog.Logger
}

type serverOption func(*serverConfig)

func (f serverOption) applyServer(c *serverConfig) { f(c) }

// WithServerInterceptors adds interceptors, the first outermost.
func WithServerInterceptors(is ...ServerInterceptor) ServerOption {
	return serverOption(func(c *serverConfig) { c.interceptors = append(c.interceptors, is...) })
}

// WithErrorText lets the text of errors that are not an [*Error] leave the
// process. Default off: callers see CodeUnknown and nothing else.
func WithErrorText() ServerOption { return serverOption(func(c *serverConfig) { c.errorText = true }) }

// DefaultMaxMessageSize is the limit, in bytes, of one message in either
// direction when nothing else is chosen.
const DefaultMaxMessageSize = 4 << 20

// A SizeOption is the result of [WithMaxMessageSize].
type SizeOption int

func (o SizeOption) applyServer(c *serverConfig) { c.maxSize = int(o) }

// WithMaxMessageSize limits one message in bytes, in either direction. 0 is [DefaultMaxMessageSize]; a
// negative n is no limit but 1 GiB.
func WithMaxMessageSize(n int) SizeOption { return SizeOption(n) }

// A LimitsOption is the result of [WithDecodeLimits].
type LimitsOption struct{ limits cbor.Limits }

func (o LimitsOption) applyServer(c *serverConfig) { c.limits = o.limits }

// WithDecodeLimits bounds what decoding one message may cost. Zero fields keep their defaults: 64 levels,
// and 16 MiB with 32 times the length of the message. A negative field turns its
// limit off, but for 10 000 levels.
//
// What is sent is held to the wider of these limits and the defaults, so that a
// message that its receiver would refuse fails where it is made. Raise a limit on
// both sides.
func WithDecodeLimits(l cbor.Limits) LimitsOption { return LimitsOption{l} }

type endpointConfig struct {
	creds        Credentials
	logger       *slog.Logger
	authorize    func(Peer) error
	maxStreams   int
	memory       int64
	peer         PeerLimits
	pastExpiry   bool
	writeTimeout time.Duration
	drain        time.Duration
	keepalive    keepalive
	roles        Roles
	control      []ServerInterceptor
}

type keepalive struct{ idle, dead time.Duration }

const defaultMemoryBudget = 1 << 30

func (c *endpointConfig) memoryBudget() int64 {
	if c.memory <= 0 {
		return defaultMemoryBudget
	}
	return c.memory
}

// sessionBuffer is by how much the windows of all streams of one session may grow
// together, and what unfinished messages of it may take.
func (c *endpointConfig) sessionBuffer() int { return int(min(c.memoryBudget()/4, 64<<20)) }

func (c *endpointConfig) drainTimeout() time.Duration {
	if c.drain <= 0 {
		return 5 * time.Second
	}
	return c.drain
}

type endpointOption func(*endpointConfig)

func (f endpointOption) applyEndpoint(c *endpointConfig) { f(c) }

// WithAuthorize lets f refuse a caller whose certificate is good: an error
// ends the connection, and its text is what the caller sees. f runs once a
// connection, on any goroutine; if it panics the connection is refused. Default:
// everyone with a certificate of the authorities is welcome.
func WithAuthorize(f func(Peer) error) EndpointOption {
	return endpointOption(func(c *endpointConfig) { c.authorize = f })
}

// WithControlInterceptors adds interceptors, the first outermost, around the
// calls of procedures that extensions serve, such as the control procedures of
// package cluster (/cluster.v1.Admin/..., /cluster.v1.Worker/...): to log them, to
// count them, or to refuse them with an error. They run when the caller has the
// procedure's role ([Roles]), and must not block: some of these procedures run
// where frames are read. Default none.
func WithControlInterceptors(is ...ServerInterceptor) EndpointOption {
	return endpointOption(func(c *endpointConfig) { c.control = append(c.control, is...) })
}

// around returns what surrounds the calls of extensions, nil if nothing does.
func (c *endpointConfig) around() ServerFunc {
	if len(c.control) == 0 {
		return nil
	}
	f := func(ctx context.Context, spec *Spec, s ServerStream) error {
		return ServerCallFrom(ctx).entry.handler(ctx, spec, s)
	}
	for _, i := range slices.Backward(c.control) {
		f = i(f)
	}
	return f
}

// WithMaxConcurrentStreams limits the calls that one session of a caller may
// have running here at a time. Further ones wait at the caller; the error of one
// whose time is over before its turn comes names this option. Default 10 000,
// at most 1 048 576.
func WithMaxConcurrentStreams(n int) EndpointOption {
	return endpointOption(func(c *endpointConfig) { c.maxStreams = n })
}

// WithMemoryBudget limits the bytes that the endpoint keeps for all its peers
// together: messages received and not yet taken by a handler or a caller, calls
// that run, sessions, what extensions keep. The call whose message goes over it
// fails with CodeResourceExhausted; a session is refused. [WithPeerLimits] says
// how much of it one peer may have, [Endpoint.Stats] who has what. Default 1 GiB, also for
// a number that is not positive: there is no way to have none, but
// math.MaxInt64 comes to that.
func WithMemoryBudget(bytes int64) EndpointOption {
	return endpointOption(func(c *endpointConfig) { c.memory = bytes })
}

// WithSessionsPastExpiry lets sessions go on when the certificate of their
// caller has expired. Default off: from that moment the session takes no more
// calls, as when the endpoint drains, those that run may finish, and a caller that
// has renewed its certificate connects again by itself.
func WithSessionsPastExpiry() EndpointOption {
	return endpointOption(func(c *endpointConfig) { c.pastExpiry = true })
}

// WithDrainTimeout is how long [Endpoint.Serve] lets calls finish when its
// context ends. Default 5 s, also for a time that is not positive:
// [Endpoint.Close] is what does not drain.
func WithDrainTimeout(d time.Duration) EndpointOption {
	return endpointOption(func(c *endpointConfig) { c.drain = d })
}

type dialConfig struct {
	serverNames  []string
	verify       func(Peer) error
	target       Target
	logger       *slog.Logger
	keepalive    keepalive
	writeTimeout time.Duration
	lazy         bool
	failFast     bool
}

type dialOption func(*dialConfig)

func (f dialOption) applyDial(c *dialConfig) { f(c) }

// WithServerName says whom the server's certificate must be for: it must carry
// one of names, which are DNS names, IP addresses and SPIFFE ids. Empty ones do
// not count. Default: the host that is dialled.
func WithServerName(names ...string) DialOption {
	return dialOption(func(c *dialConfig) {
		c.serverNames = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "" })
	})
}

// WithVerifyPeer lets f refuse a server whose certificate is good: an error
// ends the attempt to connect. f runs once a connection, on any goroutine.
//
// A certificate that carries neither a DNS name nor an IP address, as one with a
// SPIFFE id alone, can be compared with no host; of it f alone decides, unless
// [WithServerName] asks for a SPIFFE id. What f does not decide is the authority,
// the usage and the time of a certificate. Default: everyone whose certificate
// carries the name that was dialled.
func WithVerifyPeer(f func(Peer) error) DialOption {
	return dialOption(func(c *dialConfig) { c.verify = f })
}

// WithLazyDial lets Dial return before it is connected: the connection is made
// in the background, as after a loss. Default off: Dial really connects.
func WithLazyDial() DialOption { return dialOption(func(c *dialConfig) { c.lazy = true }) }

// WithFailFast makes calls fail at once while there is no connection, also
// those that would wait ([CallOptions].WaitForReady): for transports that choose among
// several connections and go elsewhere. Default off.
func WithFailFast() DialOption { return dialOption(func(c *dialConfig) { c.failFast = true }) }

// A LaneOption is an option of an endpoint, for the sessions of its callers,
// and of a dial.
type LaneOption interface {
	EndpointOption
	DialOption
}

type keepaliveOption struct{ k keepalive }

func (o keepaliveOption) applyEndpoint(c *endpointConfig) { c.keepalive = o.k }
func (o keepaliveOption) applyDial(c *dialConfig)         { c.keepalive = o.k }

// Defaults of [WithKeepalive].
const (
	defaultIdle   = 3 * time.Second
	defaultDead   = 10 * time.Second
	defaultAnswer = defaultDead - defaultIdle
)

// WithKeepalive asks a peer that has been silent for idle whether it is there,
// and gives it up when it has been silent for dead, both counted from the last
// that was heard of it. idle must be less than dead: the peer has the difference
// to answer. An idle of 0 is 3 s; a dead of 0, or one that is not above idle, is
// 10 s, or idle and 7 s if that is more. A negative idle turns keepalive off.
func WithKeepalive(idle, dead time.Duration) LaneOption {
	if idle == 0 {
		idle = defaultIdle
	}
	if dead <= idle {
		dead = max(defaultDead, idle+defaultAnswer)
	}
	return keepaliveOption{keepalive{idle, dead}}
}

type writeTimeoutOption time.Duration

func (o writeTimeoutOption) applyEndpoint(c *endpointConfig) { c.writeTimeout = time.Duration(o) }
func (o writeTimeoutOption) applyDial(c *dialConfig)         { c.writeTimeout = time.Duration(o) }

// WithWriteTimeout ends a session whose peer has taken nothing for d while a
// write waits for it. A slow link is no reason: what counts is that bytes move.
// Default 10 s, also for a time that is
// not positive: it cannot be turned off, or a peer could hold memory for ever,
// but d may be as long as you like.
func WithWriteTimeout(d time.Duration) LaneOption { return writeTimeoutOption(d) }

// A LoggerOption is the result of [WithLogger].
type LoggerOption struct{ logger *slog.Logger }

func (o LoggerOption) applyServer(c *serverConfig)     { c.logger = o.logger }
func (o LoggerOption) applyEndpoint(c *endpointConfig) { c.logger = o.logger }
func (o LoggerOption) applyDial(c *dialConfig)         { c.logger = o.logger }

// WithLogger sets the logger of an endpoint, a server or a dial; nil is the
// default: the endpoint's for a server that it serves and for [Endpoint.Dial],
// [slog.Default] for an endpoint itself, for [Dial] and for a server in process.
func WithLogger(l *slog.Logger) LoggerOption { return LoggerOption{l} }
