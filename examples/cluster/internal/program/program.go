// Package program is the frame of the example's three programs: configuration
// by environment, certificates, signals and exit statuses.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/env"
	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/logging"
	"github.com/rpcnet-go/rpcnet/internal/certs"
)

// DrainTime is how long a program may take to end what it has begun once it is
// told to stop.
const DrainTime = 5 * time.Second

// Cluster is the name of the example's cluster. Other clusters of the same
// authority have others, and do not become one with it.
const Cluster = "example"

// A Program is one of the three, with the variables that all of them have.
type Program struct {
	Vars         *env.Vars
	DirectorAddr *string

	name     string
	certDir  string
	certName string
	level    slog.Level
}

// New returns the program with the name, which does what about says.
// director says what DIRECTOR_ADDR is to it. The caller declares the variables
// of its own in Vars and then calls Main.
// cert is whose certificate it uses unless CERT_NAME says so.
func New(name, about, director, cert string) *Program {
	p := &Program{Vars: env.New(name, about), name: name}
	p.DirectorAddr = p.Vars.Addr("DIRECTOR_ADDR", "127.0.0.1:61000", director)
	p.Vars.Func("CERT_DIR", "", "the folder of ca.pem and the certificates; by default certs, then ../../certs", func(s string) error {
		p.certDir = s
		return nil
	})
	p.certName = cert
	p.Vars.Func("CERT_NAME", cert, "whose certificate to use: NAME_cert.pem and NAME_key.pem of the folder", func(s string) error {
		p.certName = s
		return nil
	})
	level := func(parse func(string) (slog.Level, error)) func(string) error {
		return func(s string) (err error) {
			p.level, err = parse(s)
			return err
		}
	}
	p.Vars.Func("LOG_LEVEL", "info", "debug, info, warn or error; RUST_LOG is read while it is unset", level(logging.ParseLevel))
	p.Vars.Fallback("RUST_LOG", level(logging.ParseRustLog))
	return p
}

// A ConfigError is what the user has to set right: exit status 2.
type ConfigError struct{ Err error }

func (e ConfigError) Error() string { return e.Err.Error() }
func (e ConfigError) Unwrap() error { return e.Err }

// Main loads the configuration, runs run and exits: with status 0 when it
// returns nil, 2 after a [ConfigError], 1 after any other error. An interrupt or
// SIGTERM ends run's context; a second one exits at once.
func (p *Program) Main(run func(ctx context.Context, log *slog.Logger) error) {
	os.Exit(p.main(os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr, run))
}

func (p *Program) main(args []string, lookup env.Lookup, out, errs io.Writer, run func(context.Context, *slog.Logger) error) int {
	if len(args) > 0 {
		switch args[0] {
		case "-h", "-help", "--help", "help":
			p.Vars.Usage(out, lookup)
			return 0
		}
		fmt.Fprintf(errs, "%s: unexpected argument %q: environment variables configure it, see %s -h\n", p.name, args[0], p.name)
		return 2
	}
	if err := p.Vars.Load(lookup); err != nil {
		p.say(errs, err)
		return 2
	}
	ctx, stop := untilSignal()
	defer stop()
	err := run(ctx, logging.New(errs, p.level))
	if err == nil {
		return 0
	}
	p.say(errs, err)
	if errors.As(err, new(ConfigError)) {
		return 2
	}
	return 1
}

// say prints an error, each line of it with the program's name.
func (p *Program) say(w io.Writer, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(w, "%s: %s\n", p.name, line)
	}
}

// untilSignal returns a context that the first interrupt or SIGTERM ends. The
// second ends the process.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(130) // as a shell reports a death by interrupt
	}()
	return ctx, cancel
}

// Credentials returns the certificates of CERT_DIR and says where they are. A
// file that is missing is a [ConfigError] with the command that makes it.
func (p *Program) Credentials(log *slog.Logger) (rpcnet.Credentials, error) {
	dir := p.certDir
	if dir == "" {
		dir = certs.Find("certs", filepath.Join("..", "..", "certs"))
	}
	cert, key := certs.Files(filepath.Join(dir, p.certName))
	ca := filepath.Join(dir, certs.CA)
	for _, path := range []string{cert, key, ca} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return rpcnet.Credentials{}, ConfigError{fmt.Errorf("no %s in the folder %q: make certificates with: go run ./cmd/rpcnet certs", filepath.Base(path), dir)}
		}
	}
	log.Info(fmt.Sprintf("📁 Loading certificates from %q and %q", cert, key))
	return rpcnet.CertFiles(cert, key, ca), nil
}

// Listen opens the endpoint at addr, the value of variable. Its failures are
// matters of configuration: the address or the certificates.
func Listen(variable, addr string, creds rpcnet.Credentials, log *slog.Logger) (*rpcnet.Endpoint, error) {
	ep, err := rpcnet.Listen(addr, creds, &rpcnet.EndpointConfig{Logger: log})
	if errors.As(err, new(*net.OpError)) {
		err = fmt.Errorf("%s=%q: %w: stop what uses the address, or choose another", variable, addr, err)
	}
	if err != nil {
		return nil, ConfigError{err}
	}
	return ep, nil
}
