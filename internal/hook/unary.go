package hook

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/rpcnet-go/rpcnet/codegen"
)

// A RoutedUnary is one unary call of a transport that chooses a connection for each
// attempt. The request is encoded once. C is *rpcnet.Conn, which this package cannot
// name: see package extend. One goroutine uses it at a time, in this order: Begin; for
// each attempt Open and, if that succeeds, Exchange; End.
type RoutedUnary[C any] interface {
	// Begin encodes the request of a call with the options of ctx.
	Begin(ctx context.Context, spec *codegen.Spec, req any) error
	// Open prepares an attempt on conn. Nothing is sent. The ticket and the number go
	// with the attempt where the options of the call do not set them. The ticket must
	// stay as it is until the next Open or End.
	Open(ctx context.Context, conn C, ticket []byte, number int) error
	// Exchange sends the request and decodes the response into res. giveUp, if not nil,
	// ends the attempt before its context does.
	Exchange(res any, giveUp *Interrupt) error
	// Trailer returns the value of a key that ends in "-bin" in the trailer of an
	// Exchange that has succeeded, nil if there is none. It is valid until End.
	Trailer(key string) []byte
	// End lets go of everything. Another Begin may follow.
	End()
}

// A UnaryTransport is a transport with a short cut for unary calls.
type UnaryTransport interface {
	CallUnary(ctx context.Context, spec *codegen.Spec, req, res any) error
}

// unaryShortcuts find the short cuts of transports of this module. They are added
// while packages are initialized.
var unaryShortcuts []func(transport any) UnaryTransport

// AddUnaryShortcut adds a function that returns the short cut of a transport, nil if
// the transport is not of its package. A package calls it in its init.
func AddUnaryShortcut(f func(transport any) UnaryTransport) {
	unaryShortcuts = append(unaryShortcuts, f)
}

// UnaryShortcut returns the short cut of a transport, nil if it has none. The type of
// the transport counts and not its methods: a type of a user that embeds a transport
// of this module has a NewStream of its own.
func UnaryShortcut(transport any) UnaryTransport {
	for _, f := range unaryShortcuts {
		if u := f(transport); u != nil {
			return u
		}
	}
	return nil
}

// An Interrupt ends an Exchange. Fire is safe from any goroutine.
type Interrupt struct {
	done  chan struct{}
	once  sync.Once
	spent atomic.Bool
	// fire is Fire, made once.
	fire func()
}

// NewInterrupt returns an Interrupt that has not fired.
func NewInterrupt() *Interrupt {
	i := &Interrupt{done: make(chan struct{})}
	i.fire = i.Fire
	return i
}

// Fire closes Done. Firing twice does nothing.
func (i *Interrupt) Fire() {
	i.spent.Store(true)
	i.once.Do(func() { close(i.done) })
}

// Done is closed by Fire.
func (i *Interrupt) Done() <-chan struct{} { return i.done }

// Spent reports whether the Interrupt has fired, or can fire yet for a call that is
// over.
func (i *Interrupt) Spent() bool { return i.spent.Load() }

// Follow fires when ctx ends, until stop is called. It costs nothing if ctx never ends.
func (i *Interrupt) Follow(ctx context.Context) (stop func() bool) {
	if ctx.Done() == nil {
		return nil
	}
	return context.AfterFunc(ctx, i.fire)
}

// Unfollow ends what Follow has begun, with what that has returned.
func (i *Interrupt) Unfollow(stop func() bool) {
	if stop != nil && !stop() {
		i.spent.Store(true)
	}
}
