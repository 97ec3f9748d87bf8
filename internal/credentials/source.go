package credentials

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultPoll is how often [OpenFiles] looks at the files.
	DefaultPoll = 5 * time.Second

	// expiryWarning is how long before its end a certificate is warned of: time to
	// repair a renewal that has stopped. expiryEvery is the time between two warnings.
	expiryWarning = 14 * 24 * time.Hour
	expiryEvery   = 24 * time.Hour
)

// A Source is the TLS material of a node, renewed while the node runs. Its
// configurations take the current material at each handshake, so that new files take
// effect on the next connection without a restart. Established connections stay as
// they are. A Source is safe for concurrent use.
//
// One goroutine, started by the constructor and ended by Close, polls the files and
// warns of expiry. The current material is replaced as a whole, atomically: no
// handshake sees a certificate of one set and the authorities of another.
type Source struct {
	files   Files // for a Source in memory: what errors call its parts
	log     *slog.Logger
	current atomic.Pointer[material]
	stop    context.CancelFunc
	stopped sync.WaitGroup

	refused atomic.Pointer[string] // why what the files hold is not in use; nil if it is

	// The goroutine's alone, once it runs.
	seen Bundle    // what the files held when they were last taken over; zero after a refusal
	told *material // its expiry has been logged
	loud *material // that it expires while its successor is refused has been logged
}

// NewSource returns a Source of the material in b, which never changes. The Source
// still warns of expiry. The caller closes it. A nil logger is [slog.Default].
func NewSource(b Bundle, log *slog.Logger) (*Source, error) {
	return newSource(b, Files{Cert: "(in memory)", Key: "(in memory)", CA: "(in memory)"}, 0, log)
}

// OpenFiles returns a Source of the material in f, and looks every poll (0 means
// [DefaultPoll]) whether the files have changed. It compares their content: times and
// sizes mislead on network file systems, and where a directory is replaced by a
// symbolic link, as Kubernetes does with secrets.
//
// A new set is checked before it replaces the current one. It must load, fit
// together, be valid now, and be accepted by its own authorities for each use for
// which the current one is. A bad set leaves the current one in use and is logged
// once. It is checked again at every look, since the problem can pass: a certificate
// becomes valid, or the file of the authorities is written last.
//
// At start a bad set is an error. The caller closes the Source. A nil logger is
// [slog.Default].
func OpenFiles(f Files, poll time.Duration, log *slog.Logger) (*Source, error) {
	b, err := f.read()
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	if poll <= 0 {
		poll = DefaultPoll
	}
	return newSource(b, f, poll, log)
}

// newSource returns a Source of b, which f names in errors. A poll of 0 means that there
// are no files to look at.
func newSource(b Bundle, f Files, poll time.Duration, log *slog.Logger) (*Source, error) {
	m, err := b.parse(f, time.Now())
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	if log == nil {
		log = slog.Default()
	}
	ctx, stop := context.WithCancel(context.Background())
	// The first material is taken without a comparison: there is none to be worse than.
	s := &Source{files: f, log: log, stop: stop, seen: b}
	s.current.Store(m)
	s.warnOfExpiry(m)
	s.stopped.Go(func() { s.run(ctx, poll) })
	return s, nil
}

// Close ends the goroutine. Configurations that were made before stay usable, with the
// material of that moment. It is idempotent and never fails.
func (s *Source) Close() error {
	s.stop()
	s.stopped.Wait()
	return nil
}

// Chain returns the certificate in use with its intermediates, leaf first. The
// caller must not change it.
func (s *Source) Chain() []*x509.Certificate { return s.current.Load().chain }

// run polls the files and warns of expiry: once a day, and at the moment it happens.
func (s *Source) run(ctx context.Context, poll time.Duration) {
	var look <-chan time.Time // never, for a Source in memory
	if poll > 0 {
		t := time.NewTicker(poll)
		defer t.Stop()
		look = t.C
	}
	daily := time.NewTicker(expiryEvery)
	defer daily.Stop()
	expiry := time.NewTimer(0)
	defer expiry.Stop()
	for {
		// The timer is set anew each time, since the material can change.
		m := s.current.Load()
		left := time.Until(m.cert.Leaf.NotAfter)
		switch {
		case left > 0:
			expiry.Reset(left)
		case m != s.told:
			s.warnOfExpiry(m)
			daily.Reset(expiryEvery)
		}
		select {
		case <-ctx.Done():
			return
		case <-expiry.C:
		case <-look: // also for the expiry that a machine has slept through
			s.look()
		case <-daily.C:
			s.warnOfExpiry(s.current.Load())
		}
	}
}

// Refused returns why what the files hold now is not in use, "" if it is in use.
func (s *Source) Refused() string {
	if r := s.refused.Load(); r != nil {
		return *r
	}
	return ""
}

// look takes over what the files hold now if it has changed and is good.
func (s *Source) look() {
	b, err := s.files.read()
	if err == nil && b.equal(s.seen) {
		return
	}
	// Three steps that may refuse the files: reading, parsing, comparing.
	var m *material
	if err == nil {
		m, err = b.parse(s.files, time.Now())
	}
	if err == nil {
		err = m.succeeds(s.current.Load(), s.files)
	}
	if err != nil {
		s.seen = Bundle{} // so that the next look checks again, even the same content
		s.refuse(err.Error())
		return
	}
	s.seen = b
	s.refused.Store(nil)
	s.log.Info("TLS files reloaded", "cert", s.files.Cert, "expires", utc(m.cert.Leaf.NotAfter))
	s.current.Store(m)
	s.warnOfExpiry(m)
}

// refuse notes why the files are not taken over, and logs it once. If the reason is
// the same at the next look and the certificate in use is about to end, it logs that
// once as an error. The first look is no reason for alarm: it can fall into the middle
// of a renewal.
func (s *Source) refuse(why string) {
	if s.Refused() != why {
		s.refused.Store(&why)
		s.log.Warn("new TLS files are not usable, keeping the material loaded before", "error", why)
		return
	}
	m := s.current.Load()
	if left := time.Until(m.cert.Leaf.NotAfter); s.loud != m && left < expiryWarning {
		s.loud = m
		s.log.Error("the TLS certificate in use is about to end or has ended, and the files that should replace it are refused: "+
			"peers will refuse this node", "cert", s.files.Cert, "expires", utc(m.cert.Leaf.NotAfter), "in", left.Round(time.Second), "error", why)
	}
}

// warnOfExpiry logs that a certificate has expired or will soon.
func (s *Source) warnOfExpiry(m *material) {
	leaf := m.cert.Leaf
	left := time.Until(leaf.NotAfter)
	args := []any{"cert", s.files.Cert, "expires", utc(leaf.NotAfter)}
	if why := s.Refused(); why != "" {
		args = append(args, "refused", why)
	}
	switch {
	case left <= 0:
		s.told = m
		s.log.Error("the TLS certificate has expired: peers refuse it", args...)
	case left < expiryWarning:
		s.log.Warn("the TLS certificate expires soon", append(args, "in", left.Round(time.Minute))...)
	}
}

// Warn logs, one line each, what peers with the same authorities will not accept of
// the certificate in use, and what to change. serving says that others dial this node.
func (s *Source) Warn(serving bool) {
	for _, problem := range s.current.Load().problems(serving, s.files) {
		s.log.Warn(problem, "cert", s.files.Cert, "for", For(s.Chain()[0]))
	}
}
