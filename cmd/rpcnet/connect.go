package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/contexts"
	"github.com/rpcnet-go/rpcnet/internal/certs"
	"github.com/spf13/cobra"
)

// The defaults of what is chosen neither by a flag nor by the environment nor by a
// context.
const (
	defaultAddr = "127.0.0.1:61000"
	defaultDir  = "certs"
)

// A target is the node that a command talks to, and how. Its fields are those of the
// flags, and after resolve what counts.
type target struct {
	env     *environment
	context string // the name of the one that is chosen, or ""
	node    contexts.Context
	timeout time.Duration
}

// targetFlags declares the flags of a target. Their values are set when cmd is run.
func targetFlags(env *environment, cmd *cobra.Command) *target {
	t := &target{env: env}
	f := cmd.Flags()
	f.StringVar(&t.context, "context", "", "the `name` of a context, see \"rpcnet context -h\"; RPCNET_CONTEXT")
	f.StringVar(&t.node.Addr, "addr", "", "the `host:port` of any node of the cluster; RPCNET_ADDR (default "+defaultAddr+")")
	f.StringVar(&t.node.Dir, "dir", "", "the `folder` with ca.pem and a certificate, as \"rpcnet certs\" makes it; RPCNET_CERTS (default "+defaultDir+")")
	f.StringVar(&t.node.Cert, "cert", "", "the certificate's `file`, instead of admin_cert.pem or client_cert.pem in -dir")
	f.StringVar(&t.node.Key, "key", "", "the key's `file`, instead of the one in -dir")
	f.StringVar(&t.node.CA, "ca", "", "the authority's `file`, instead of the one in -dir")
	f.StringVar(&t.node.ServerName, "server-name", "", "the `name` that the node's certificate must carry, instead of the host of -addr")
	f.DurationVar(&t.timeout, "timeout", 5*time.Second, "how long to wait for the connection and for one answer")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("context", func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return env.completeContext(cmd, nil, typed)
	}))
	return t
}

// address sets the address from the arguments of a command. There is at most one,
// and without it the address is that of -addr.
func (t *target) address(args []string) error {
	switch {
	case len(args) > 1:
		return usagef("unexpected argument %q: want one host:port at most", args[1])
	case len(args) == 1:
		if _, _, err := net.SplitHostPort(args[0]); err != nil {
			return usagef("argument %q: want the host:port of a node", args[0])
		}
		t.node.Addr = args[0]
	}
	return nil
}

// contexts reads the file of contexts.
func (env *environment) contexts() (*contexts.Set, error) {
	path, err := env.configPath()
	if err != nil {
		return nil, err
	}
	return contexts.Load(path)
}

// resolve fills in what flags have not chosen. In this order count: flags; the context
// of -context; RPCNET_ADDR and RPCNET_CERTS; the context of RPCNET_CONTEXT or the
// current one; the defaults.
func (t *target) resolve() error {
	if t.context == "" {
		fill(&t.node, contexts.Context{Addr: t.env.getenv("RPCNET_ADDR"), Dir: t.env.getenv("RPCNET_CERTS")})
		t.context = t.env.getenv("RPCNET_CONTEXT")
	}
	set, err := t.env.contexts()
	switch {
	case err == nil:
	case t.context != "":
		return usageError(err.Error())
	default:
		set = &contexts.Set{} // nothing was asked of it, and a machine may have no such folder
	}
	t.context = cmp.Or(t.context, set.Current)
	if t.context != "" {
		c, err := set.Get(t.context)
		if err != nil {
			return usageError(err.Error())
		}
		fill(&t.node, c)
	}
	fill(&t.node, contexts.Context{Addr: defaultAddr, Dir: defaultDir})
	if _, _, err := net.SplitHostPort(t.node.Addr); err != nil {
		return usagef("address %q: want the host:port of a node", t.node.Addr)
	}
	return nil
}

// fill takes from c what is not chosen in dst. The name of a server goes with its
// address, and files of certificates go with their folder.
func fill(dst *contexts.Context, c contexts.Context) {
	if dst.Addr == "" {
		dst.Addr, dst.ServerName = c.Addr, cmp.Or(dst.ServerName, c.ServerName)
	}
	if dst.Dir == "" {
		if dst.Cert == "" && dst.Key == "" && dst.CA == "" {
			dst.Cert, dst.Key, dst.CA = c.Cert, c.Key, c.CA
		}
		dst.Dir = c.Dir
	}
}

// files returns the paths of the certificate, of the key and of the authority. Without
// a choice the certificate is the administrator's, or the client's in a folder that
// has no other.
func (t *target) files() (cert, key, ca string) {
	leafCert, leafKey := certs.Files("admin")
	if !exists(filepath.Join(t.node.Dir, leafCert)) {
		if c, k := certs.Files("client"); exists(filepath.Join(t.node.Dir, c)) {
			leafCert, leafKey = c, k
		}
	}
	file := func(chosen, name string) string { return cmp.Or(chosen, filepath.Join(t.node.Dir, name)) }
	return file(t.node.Cert, leafCert), file(t.node.Key, leafKey), file(t.node.CA, certs.CA)
}

// exists reports whether there is a file.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// credentials resolves the target and returns what it is reached with.
func (t *target) credentials() (rpcnet.Credentials, error) {
	if err := t.resolve(); err != nil {
		return rpcnet.Credentials{}, err
	}
	cert, key, ca := t.files()
	for _, path := range []string{ca, cert, key} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return rpcnet.Credentials{}, connectError{fmt.Errorf(
				"no file %s: name the folder of your certificates with -dir, RPCNET_CERTS or a context (rpcnet context -h), or make some with: rpcnet certs", path)}
		}
	}
	return rpcnet.CertFiles(cert, key, ca), nil
}

// logger returns where connections log, for people.
func (env *environment) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(env.errs, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// dial connects to the node within the timeout. The caller closes the connection. The
// error is a connectError or a usageError.
func (t *target) dial(ctx context.Context) (*rpcnet.Conn, error) {
	creds, err := t.credentials()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	conn, err := rpcnet.Dial(ctx, t.node.Addr, creds, &rpcnet.DialConfig{
		ServerNames: []string{t.node.ServerName}, // none if it is ""
		Logger:      t.env.logger(),
	})
	if err != nil {
		return nil, connectError{fmt.Errorf("%w; \"rpcnet doctor\" says at which step", err)}
	}
	return conn, nil
}
