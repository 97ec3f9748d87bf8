package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/rpcnet-go/rpcnet/internal/version"
	"github.com/spf13/cobra"
)

// newVersion returns the command that prints versions.
func newVersion(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "print the version of this command, of Go and of the protocol",
		Example: `  rpcnet version
  rpcnet version -o json`,
		Args: noArgs("version takes none"),
	}
	form := formatFlag(cmd, "text")
	cmd.RunE = func(*cobra.Command, []string) error {
		v := version.Read()
		if form.json() {
			return printJSON(env.out, map[string]any{
				"version": v.Version, "commit": v.Commit, "modified": v.Modified, "go": runtime.Version(),
				"platform": runtime.GOOS + "/" + runtime.GOARCH, "alpn": version.ALPN, "frames": version.Frames, "gossip": version.Gossip,
			})
		}
		_, err := io.WriteString(env.out, versionText(v))
		return err
	}
	return cmd
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
