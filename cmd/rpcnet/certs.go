package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/rpcnet-go/rpcnet/internal/certs"
)

var certsCommand = command{
	name:    "certs",
	summary: "make development certificates: an authority, and certificates for nodes, clients and administrators",
	setup: func(fs *flag.FlagSet) runFunc {
		dir := fs.String("dir", "certs", "the `folder` to make them in; files that exist are kept and used")
		hosts := fs.String("host", "", "more DNS names, IP addresses and SPIFFE ids, separated by `commas`, in addition to localhost, 127.0.0.1 and ::1")
		name := fs.String("name", "", "make one certificate with an identity of its own: `NAME`_cert.pem, NAME_key.pem")
		role := fs.String("role", "node", "the role of the holder of -name: "+strings.Join(certs.Roles, ", "))
		return func(_ context.Context, args []string, out io.Writer) error {
			if len(args) > 0 {
				return usageError(fmt.Sprintf("unexpected argument %q: hosts go into -host a,b", args[0]))
			}
			if *dir == "" {
				return usageError("-dir is empty: name a folder")
			}
			var files []certs.File
			var err error
			switch {
			case *name != "":
				files, err = certs.Add(*dir, certs.Leaf{Name: *name, Role: *role, Hosts: splitList(*hosts)})
			case *role != "node":
				return usageError("-role needs -name, the name in the certificate")
			default:
				files, err = certs.Make(*dir, splitList(*hosts))
			}
			if err != nil {
				return err
			}
			for _, f := range files {
				verb := "made"
				if f.Kept {
					verb = "kept"
				}
				fmt.Fprintln(out, verb, f.Path)
			}
			return nil
		}
	},
}

// splitList returns the items of a comma-separated list. It leaves out empty ones.
func splitList(s string) []string {
	var items []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
