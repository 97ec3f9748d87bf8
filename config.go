package rpcnet

import (
	"cmp"
	"log/slog"
	"slices"
	"time"
)

// An EndpointConfig says how an [Endpoint] treats its callers. Zero fields have
// their defaults.
type EndpointConfig struct {
	// Logger is where the endpoint logs. Default [slog.Default].
	Logger *slog.Logger

	// Authorize refuses a caller whose certificate is good: its error ends the
	// connection, and the caller sees the text. It runs once a connection, on any
	// goroutine. If it panics the connection is refused. Default: the endpoint
	// accepts every certificate of its authorities.
	Authorize func(Peer) error
	// Roles are the rules for roles of the cluster. Default: by certificate.
	Roles Roles
	// ControlInterceptors run around the calls of control procedures, which
	// packages of this module serve beside the user's server
	// (/cluster.v1.Admin/..., /cluster.v1.Worker/...), the first outermost: to log
	// them, to count them, or to refuse them with an error. They run after the
	// check of the caller's role, and must not block: some of these procedures run
	// where frames are read. Default none.
	ControlInterceptors []func(next ServerFunc) ServerFunc

	// MaxConcurrentStreams limits the calls that one session of a caller may have
	// running here at a time. Further ones wait at the caller; the error of one
	// whose time is over before its turn comes names this field. Default 10 000,
	// also for a negative number; at most 1 048 576.
	MaxConcurrentStreams int
	// MemoryBudget limits the bytes that the endpoint keeps for all its peers
	// together: messages received and not yet taken by a handler or a caller, calls
	// that run, sessions, what packages of this module keep. The call whose message
	// goes over it fails with CodeResourceExhausted; a session is refused.
	// [Endpoint.Stats] says who has what. Default 1 GiB, also for a negative number.
	// It cannot be disabled; pass math.MaxInt64 for effectively no limit.
	MemoryBudget int64
	// PeerMemory is how much of MemoryBudget one peer may have, in bytes. A peer is
	// one identity ([Peer].ID), however many connections it makes: programs that
	// share a certificate share the limit. Default: half, or 64 MiB if that is more.
	PeerMemory int64
	// PeerSessions is how many sessions one peer may have. Default 10 000.
	PeerSessions int

	// KeepaliveIdle is the time of silence after which a peer is asked whether it is
	// there. Default 3 s. A negative time turns keepalive off.
	KeepaliveIdle time.Duration
	// KeepaliveTimeout is the time of silence after which the session ends;
	// the peer has the difference to KeepaliveIdle to answer. A time that is not
	// above KeepaliveIdle has the default: 10 s, or KeepaliveIdle and 7 s if that is
	// more.
	KeepaliveTimeout time.Duration
	// WriteTimeout ends a session whose peer has taken no byte for that long while
	// a write waits for it. A slow link is no reason, as long as bytes move. Default
	// 10 s, also for a negative time. It cannot be disabled, or a peer could hold
	// memory for ever, but it has no upper limit.
	WriteTimeout time.Duration
	// DrainTimeout is how long [Endpoint.Serve] lets calls finish after its context
	// has ended. Default 5 s, also for a negative time: [Endpoint.Close] does not
	// drain.
	DrainTimeout time.Duration
	// SessionsPastExpiry lets sessions go on after the certificate of their caller
	// has expired. Without it the session takes no more calls from that moment, as
	// when the endpoint drains. Calls that run may finish, and a caller that has
	// renewed its certificate connects again by itself.
	SessionsPastExpiry bool
}

// withDefaults returns a copy of c, or of the zero value for nil, in which no field stands
// for a default.
func (c *EndpointConfig) withDefaults() EndpointConfig {
	var d EndpointConfig
	if c != nil {
		d = *c
	}
	d.Logger = cmp.Or(d.Logger, slog.Default())
	d.ControlInterceptors = slices.Clone(d.ControlInterceptors)
	d.MemoryBudget = positive(d.MemoryBudget, 1<<30)
	d.PeerMemory = positive(d.PeerMemory, max(d.MemoryBudget/2, 64<<20))
	d.PeerSessions = positive(d.PeerSessions, 10_000)
	d.KeepaliveIdle, d.KeepaliveTimeout = keepalive(d.KeepaliveIdle, d.KeepaliveTimeout)
	d.WriteTimeout = positive(d.WriteTimeout, defaultWriteTimeout)
	d.DrainTimeout = positive(d.DrainTimeout, 5*time.Second)
	return d
}

// sessionBuffer is by how much the windows of all streams of one session may grow
// together, and what unfinished messages of it may take.
func (c *EndpointConfig) sessionBuffer() int { return int(min(c.MemoryBudget/4, 64<<20)) }

// defaultWriteTimeout is the default of WriteTimeout.
const defaultWriteTimeout = 10 * time.Second

// positive returns n, or otherwise if n is not positive.
func positive[T int | int64 | time.Duration](n, otherwise T) T {
	if n <= 0 {
		return otherwise
	}
	return n
}

// keepalive returns the times that those of a config stand for.
func keepalive(idle, timeout time.Duration) (time.Duration, time.Duration) {
	const defaultIdle, defaultTimeout = 3 * time.Second, 10 * time.Second
	if idle == 0 {
		idle = defaultIdle
	}
	if timeout <= idle {
		timeout = max(defaultTimeout, idle+defaultTimeout-defaultIdle)
	}
	return idle, timeout
}

// A DialConfig says how a [Conn] connects. Zero fields have their defaults.
type DialConfig struct {
	// Logger is where the connection logs. Default: the endpoint's logger for
	// [Endpoint.Dial], [slog.Default] for [Dial].
	Logger *slog.Logger

	// ServerNames are the names that the server may have: its certificate must
	// carry one of them. They are DNS names, IP addresses and SPIFFE ids. Empty ones
	// do not count. Default: the host that is dialled.
	ServerNames []string
	// VerifyPeer refuses a server whose certificate is good: its error ends the
	// attempt to connect. It runs once a connection, on any goroutine.
	//
	// A certificate that carries neither a DNS name nor an IP address, such as one
	// with a SPIFFE id alone, cannot be compared with a host. VerifyPeer alone
	// decides about it, unless ServerNames has a SPIFFE id. The authority, the usage
	// and the time of a certificate are always checked first. Default:
	// the Conn accepts every certificate that carries the right name.
	VerifyPeer func(Peer) error
	// Target is the node of a cluster that the connection is for, since an address
	// can change hands. An endpoint that is another node refuses the connection, and
	// so does this side; the error says who answered. Default: any node.
	Target Target

	// KeepaliveIdle, KeepaliveTimeout and WriteTimeout are as in [EndpointConfig].
	// Default: the endpoint's for [Endpoint.Dial], those of EndpointConfig for
	// [Dial].
	KeepaliveIdle, KeepaliveTimeout, WriteTimeout time.Duration

	// Lazy lets Dial return before it is connected: the connection is made in the
	// background, as after a loss. Without it Dial returns when the server has
	// accepted the connection.
	Lazy bool
	// FailFast makes calls fail at once while there is no connection, also those
	// with [CallOptions].WaitForReady. It is for transports that choose among
	// several connections and go elsewhere.
	FailFast bool
}

// withDefaults returns a copy of c, or of the zero value for nil, in which no field stands
// for a default. own is the config of the endpoint that dials.
func (c *DialConfig) withDefaults(own EndpointConfig) DialConfig {
	var d DialConfig
	if c != nil {
		d = *c
	}
	d.Logger = cmp.Or(d.Logger, own.Logger)
	d.ServerNames = slices.DeleteFunc(slices.Clone(d.ServerNames), func(name string) bool { return name == "" })
	if d.KeepaliveIdle == 0 && d.KeepaliveTimeout == 0 {
		d.KeepaliveIdle, d.KeepaliveTimeout = own.KeepaliveIdle, own.KeepaliveTimeout
	}
	d.KeepaliveIdle, d.KeepaliveTimeout = keepalive(d.KeepaliveIdle, d.KeepaliveTimeout)
	if d.WriteTimeout == 0 {
		d.WriteTimeout = own.WriteTimeout
	}
	d.WriteTimeout = positive(d.WriteTimeout, defaultWriteTimeout)
	return d
}

// A ServerConfig says how a [Server] runs its procedures. Zero fields have their
// defaults.
type ServerConfig struct {
	// Logger is where failures of handlers are logged. Default: the logger of the
	// endpoint that serves, [slog.Default] in process.
	Logger *slog.Logger
	// Interceptors run around every call, the first outermost. Default none.
	Interceptors []func(next ServerFunc) ServerFunc
	// MaxMessageSize limits one message in bytes, in either direction. Default
	// 4 MiB. A negative number sets the limit to 1 GiB, the most there is.
	MaxMessageSize int
	// DecodeLimits bound what decoding one message may cost, as
	// [CallOptions].DecodeLimits do for a caller.
	DecodeLimits DecodeLimits
	// ErrorText lets the text of errors that are not an [*Error] leave the process.
	// Without it callers see CodeUnknown and nothing else.
	ErrorText bool
	// NoDescribe refuses the procedure /rpcnet.v1.Describe, with which callers that have
	// no generated code, such as the command rpcnet and package bridge, learn the
	// services of the server with their methods and messages. It is a procedure as any
	// other: every caller with the role of a client may call it, and Interceptors run
	// around it.
	NoDescribe bool
}

// A ClientConfig is what goes with all calls of a [Client].
type ClientConfig struct {
	// Interceptors run around every call, the first outermost. Default none.
	Interceptors []func(next ClientFunc) ClientFunc
	// Call are the defaults of all calls, below those of the context ([NewCall]).
	Call CallOptions
}
