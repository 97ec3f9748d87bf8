package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"runtime"

	"github.com/rpcnet-go/rpcnet/internal/version"
)

var versionCommand = command{
	name:    "version",
	summary: "print the version of this command, of Go and of the protocol",
	setup: func(*flag.FlagSet) runFunc {
		return func(_ context.Context, args []string, out io.Writer) error {
			if len(args) > 0 {
				return usageError(fmt.Sprintf("unexpected argument %q: version takes none", args[0]))
			}
			_, err := io.WriteString(out, versionText(version.Read()))
			return err
		}
	},
}

// versionText returns what the command prints, with a line for each version.
func versionText(v version.Info) string {
	commit := v.Commit
	switch {
	case commit == "":
		commit = "unknown"
	case v.Modified:
		commit += ", and changes that are not committed"
	}
	return fmt.Sprintf("rpcnet    %s\ncommit    %s\ngo        %s %s/%s\nprotocol  %s: frames %d, gossip %d\n",
		v.Version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH, version.ALPN, version.Frames, version.Gossip)
}
