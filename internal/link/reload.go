package link

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

	expiryWarning = 14 * 24 * time.Hour // the last days of a certificate, in which we warn
	expiryEvery   = 24 * time.Hour      // between two such warnings
)

// A Source is the TLS material of a node, renewed while the node runs. Its
// configurations look the material up at each handshake, so that new files take
// effect on the next connection without a restart; connections that stand are
// not touched. It is safe for concurrent use.
//
// One goroutine, started by the constructor and ended by Close, polls the files
// and warns of expiry. The current material is swapped as a whole, atomically:
// no handshake sees a certificate of one set and authorities of another.
type Source struct {
	files   Files // for a Source in memory: what errors call its parts
	log     *slog.Logger
	current atomic.Pointer[material]
	stop    context.CancelFunc
	stopped sync.WaitGroup

	// Of the goroutine alone, once it runs.
	seen    Bundle    // what the files held at the last look; zero if they could not be read
	problem string    // what was wrong at the last look; reported once
	told    *material // whose expiry has been told
}

// NewSource returns a Source of the material in b, which never changes. The
// caller closes it. A nil logger is [slog.Default].
func NewSource(b Bundle, log *slog.Logger) (*Source, error) {
	return newSource(b, Files{Cert: "(in memory)", Key: "(in memory)", CA: "(in memory)"}, 0, log)
}

// OpenFiles returns a Source of the material in f and looks every poll (0 is
// [DefaultPoll]) whether the files have changed. It compares their content:
// times and sizes mislead on network file systems and where a directory is
// swapped by a symbolic link. A set that does not load, or does not fit
// together, leaves the old one in use and is logged once. The caller closes the
// Source. A nil logger is [slog.Default].
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

func newSource(b Bundle, f Files, poll time.Duration, log *slog.Logger) (*Source, error) {
	m, err := b.parse(f, time.Now())
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	if log == nil {
		log = slog.Default()
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Source{files: f, log: log, stop: stop, seen: b}
	s.use(m)
	s.stopped.Go(func() { s.run(ctx, poll) })
	return s, nil
}

// Close stops the watching. The configurations made stay usable with the
// material of that moment. It is idempotent and never fails.
func (s *Source) Close() error {
	s.stop()
	s.stopped.Wait()
	return nil
}

// Chain returns the certificate in use with its intermediates, leaf first. The
// caller must not change it.
func (s *Source) Chain() []*x509.Certificate { return s.current.Load().chain }

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

// look takes over what the files hold now, if it has changed and is good.
func (s *Source) look() {
	b, err := s.files.read()
	if err == nil && b.equal(s.seen) {
		return
	}
	s.seen = b // zero if unreadable, so that the next readable set is looked at
	var m *material
	if err == nil {
		m, err = b.parse(s.files, time.Now())
	}
	if err != nil {
		if s.problem != err.Error() {
			s.problem = err.Error()
			s.log.Warn("new TLS files are not usable, keeping the material loaded before", "error", err)
		}
		return
	}
	s.problem = ""
	s.log.Info("TLS files reloaded", "cert", s.files.Cert, "expires", utc(m.cert.Leaf.NotAfter))
	s.use(m)
}

// use makes m the material of the next handshakes and says what is doubtful
// about it.
func (s *Source) use(m *material) {
	s.current.Store(m)
	if err := m.verify(); err != nil {
		s.log.Warn("this node's certificate is not signed by an authority it accepts itself: peers with the same CA file will refuse it",
			"cert", s.files.Cert, "ca", s.files.CA, "error", err)
	}
	s.warnOfExpiry(m)
}

func (s *Source) warnOfExpiry(m *material) {
	leaf := m.cert.Leaf
	left := time.Until(leaf.NotAfter)
	switch {
	case left <= 0:
		s.told = m
		s.log.Error("the TLS certificate has expired: peers refuse it", "cert", s.files.Cert, "expired", utc(leaf.NotAfter))
	case left < expiryWarning:
		s.log.Warn("the TLS certificate expires soon", "cert", s.files.Cert, "expires", utc(leaf.NotAfter), "in", left.Round(time.Minute))
	}
}

// verify checks the material's own certificate against its own authorities.
func (m *material) verify() error {
	intermediates := x509.NewCertPool()
	for _, c := range m.chain[1:] {
		intermediates.AddCert(c)
	}
	_, err := m.chain[0].Verify(x509.VerifyOptions{Roots: m.pool, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}
