package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The snapshot file keeps the addresses of the members of last time, so that a
// node whose seeds are gone finds its way back after a restart.

const (
	snapshotVersion  = 1
	maxSnapshotSize  = 1 << 20
	maxSnapshotAddrs = 32 // tried after a restart
	snapshotInterval = 5 * time.Second
)

type snapshot struct {
	Version int              `json:"version"`
	Cluster string           `json:"cluster"`
	Members []snapshotMember `json:"members"`
}

type snapshotMember struct {
	Name string `json:"name"`
	Addr string `json:"addr"`
	// ServerName is that of [Member].
	ServerName string `json:"server_name,omitempty"`
}

// loadSnapshot returns the members to try; none if there is no usable file,
// which is logged.
func loadSnapshot(cfg *Config, log *slog.Logger) []snapshotMember {
	if cfg.SnapshotFile == "" {
		return nil
	}
	f, err := os.Open(cfg.SnapshotFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		defer f.Close()
		var members []snapshotMember
		if members, err = readSnapshot(f, cfg.Cluster); err == nil {
			return members
		}
	}
	log.Warn("the snapshot of the last members is of no use; starting without", "file", cfg.SnapshotFile, "err", err)
	return nil
}

func readSnapshot(r io.Reader, cluster string) ([]snapshotMember, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSnapshotSize+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSnapshotSize {
		return nil, fmt.Errorf("larger than %d bytes", maxSnapshotSize)
	}
	var s snapshot
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, err
	}
	if s.Version != snapshotVersion {
		return nil, fmt.Errorf("version %d, want %d", s.Version, snapshotVersion)
	}
	if s.Cluster != cluster {
		return nil, fmt.Errorf("of cluster %q, want %q", s.Cluster, cluster)
	}
	var members []snapshotMember
	for _, m := range s.Members {
		a, err := netip.ParseAddrPort(m.Addr)
		if err != nil || a.Port() == 0 || !a.Addr().IsValid() {
			return nil, fmt.Errorf("%q is not an address", m.Addr)
		}
		m.Addr = a.String()
		twice := slices.ContainsFunc(members, func(o snapshotMember) bool { return o.Addr == m.Addr })
		if len(members) < maxSnapshotAddrs && !twice {
			members = append(members, m)
		}
	}
	return members, nil
}

// saveSnapshot writes the file if the members have changed, at most every 5 s.
// A view of this node alone is never written: it would forget the others in a
// partition.
func (n *Node) saveSnapshot(now time.Time) {
	if n.cfg.SnapshotFile == "" || now.Sub(n.heal.savedAt) < snapshotInterval {
		return
	}
	s := snapshot{Version: snapshotVersion, Cluster: n.cfg.Cluster}
	for _, m := range n.Members() {
		if m.ID() != n.id && m.State != StateLeaving {
			s.Members = append(s.Members, snapshotMember{m.Name, m.Addr, m.ServerName})
		}
	}
	if len(s.Members) == 0 || slices.Equal(s.Members, n.heal.saved) {
		return
	}
	n.heal.savedAt, n.heal.saved = now, s.Members
	if err := writeSnapshot(n.cfg.SnapshotFile, s); err != nil {
		n.log.Warn("cannot write the snapshot of the members", "file", n.cfg.SnapshotFile, "err", err)
	}
}

// writeSnapshot replaces the file in one step, so that a crash leaves the old
// or the new one.
func writeSnapshot(file string, s snapshot) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails after the rename, as it should
	if _, err = tmp.Write(append(b, '\n')); err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
