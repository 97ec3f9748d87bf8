package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

// A target holds the flags of a command that talks to a node.
type target struct {
	addr, dir, cert, key, ca, name string
	timeout                        time.Duration
}

// targetFlags declares the flags of a target. Their values are set when fs is
// parsed.
func targetFlags(fs *flag.FlagSet) *target {
	t := new(target)
	fs.StringVar(&t.addr, "addr", "127.0.0.1:61000", "the `host:port` of any node of the cluster")
	fs.StringVar(&t.dir, "dir", "certs", "the `folder` with ca.pem, admin_cert.pem and admin_key.pem, as rpcnet certs makes it")
	fs.StringVar(&t.cert, "cert", "", "the certificate's `file`, instead of the one in -dir")
	fs.StringVar(&t.key, "key", "", "the key's `file`, instead of the one in -dir")
	fs.StringVar(&t.ca, "ca", "", "the authority's `file`, instead of the one in -dir")
	fs.StringVar(&t.name, "server-name", "", "the `name` that the node's certificate must carry, instead of the host of -addr")
	fs.DurationVar(&t.timeout, "timeout", 5*time.Second, "how long to wait for the connection and for one answer")
	return t
}

// address sets the address from the arguments of a command. There is at most one,
// and without it the address is that of -addr.
func (t *target) address(args []string) error {
	switch {
	case len(args) > 1:
		return usageError(fmt.Sprintf("unexpected argument %q: want one host:port at most, after the flags", args[1]))
	case len(args) == 1:
		if _, _, err := net.SplitHostPort(args[0]); err != nil {
			return usageError(fmt.Sprintf("argument %q: want the host:port of a node", args[0]))
		}
		t.addr = args[0]
	}
	return nil
}

// dial connects to the node as an administrator, within the timeout. The caller
// closes the connection.
func (t *target) dial(ctx context.Context) (*rpcnet.Conn, error) {
	file := func(chosen, name string) string {
		if chosen != "" {
			return chosen
		}
		return filepath.Join(t.dir, name)
	}
	creds := rpcnet.CertFiles(file(t.cert, "admin_cert.pem"), file(t.key, "admin_key.pem"), file(t.ca, "ca.pem"))
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	return rpcnet.Dial(ctx, t.addr, creds, &rpcnet.DialConfig{ServerNames: []string{t.name}}) // none if it is ""
}

// A format is the form of the output: "json", or the form for people.
type format string

// formatFlag declares the flag -o. text is the name of the form for people.
func formatFlag(fs *flag.FlagSet, text string) *format {
	f := format(text)
	fs.Func("o", fmt.Sprintf("the `form` of the output: %s or json (default %s)", text, text), func(s string) error {
		if s != text && s != "json" {
			return fmt.Errorf("want %s or json", text)
		}
		f = format(s)
		return nil
	})
	return &f
}
