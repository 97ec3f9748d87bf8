package main

import (
	"fmt"
	"strings"

	"github.com/rpcnet-go/rpcnet/internal/certs"
	"github.com/spf13/cobra"
)

// newCerts returns the command that makes development certificates.
func newCerts(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "certs",
		Short: "make development certificates: an authority, and certificates for nodes, clients and administrators",
		Long:  "Files that exist are kept and used. They are for development: the authority's key lies beside the certificates.",
		Example: `  rpcnet certs                                    # in the folder certs
  rpcnet certs -host gpu7.example.org,10.0.0.7    # the node's certificate names these hosts too
  rpcnet certs -name worker-a -role worker        # one more certificate: a worker and nothing else`,
		Args: noArgs("hosts go into -host a,b"),
	}
	f := cmd.Flags()
	dir := f.String("dir", "certs", "the `folder` to make them in; files that exist are kept and used")
	hosts := f.String("host", "", "more DNS names, IP addresses and SPIFFE ids, separated by `commas`, in addition to localhost, 127.0.0.1 and ::1")
	name := f.String("name", "", "make one certificate with an identity of its own: `NAME`_cert.pem, NAME_key.pem")
	role := f.String("role", "node", "the `role` of the holder of -name: "+strings.Join(certs.Roles, ", "))
	form := formatFlag(cmd, "text")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(certs.Roles, cobra.ShellCompDirectiveNoFileComp)))
	cmd.RunE = func(*cobra.Command, []string) error {
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
			if form.json() {
				err = printJSON(env.out, struct {
					Path string `json:"path"`
					Kept bool   `json:"kept"`
				}{f.Path, f.Kept})
			} else {
				verb := "made"
				if f.Kept {
					verb = "kept"
				}
				_, err = fmt.Fprintln(env.out, verb, f.Path)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
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
