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

// The file of members (Config.Discovery.MembersFile) keeps the addresses of the last known
// members, so that a node whose seeds are gone finds the cluster again after a restart.
// It is a hint: what stands in it is dialled, and proves itself there as any seed does. A
// missing, malformed or foreign file is as good as none.

const (
	membersFileVersion = 1
	// maxMembersFileSize is the most bytes that are read: about 10 000 members.
	maxMembersFileSize = 1 << 20
	// maxRemembered is how many members of the file are tried after a restart. One that
	// answers is enough.
	maxRemembered = 32
	// membersFileInterval is the least time between two writes.
	membersFileInterval = 5 * time.Second
)

// A membersFile is the content of the file, in JSON.
type membersFile struct {
	Version int                `json:"version"`
	Cluster string             `json:"cluster"`
	Members []rememberedMember `json:"members"`
}

// A rememberedMember is one entry. Its boot is left out: it has probably changed.
type rememberedMember struct {
	Name string `json:"name"`
	Addr string `json:"addr"`
	// ServerName is that of [Member].
	ServerName string `json:"server_name,omitempty"`
}

// loadMembers returns the members to try, none if there is no usable file. An unusable one
// is logged, and is no reason not to start.
func loadMembers(cfg *Config, log *slog.Logger) []rememberedMember {
	if cfg.Discovery.MembersFile == "" {
		return nil
	}
	f, err := os.Open(cfg.Discovery.MembersFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		defer f.Close()
		var members []rememberedMember
		if members, err = readMembers(f, cfg.Cluster); err == nil {
			return members
		}
	}
	log.Warn("the file of the last members is of no use; starting without", "file", cfg.Discovery.MembersFile, "err", err)
	return nil
}

// readMembers returns the first maxRemembered members of a file with different addresses.
// It fails if the file is too large, malformed, or of another version or cluster. A single
// bad address makes all of it suspect.
func readMembers(r io.Reader, cluster string) ([]rememberedMember, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxMembersFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxMembersFileSize {
		return nil, fmt.Errorf("larger than %d bytes", maxMembersFileSize)
	}
	var s membersFile
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, err
	}
	if s.Version != membersFileVersion {
		return nil, fmt.Errorf("version %d, want %d", s.Version, membersFileVersion)
	}
	if s.Cluster != cluster {
		return nil, fmt.Errorf("of cluster %q, want %q", s.Cluster, cluster)
	}
	var members []rememberedMember
	for _, m := range s.Members {
		a, err := netip.ParseAddrPort(m.Addr)
		if err != nil || a.Port() == 0 || !a.Addr().IsValid() {
			return nil, fmt.Errorf("%q is not an address", m.Addr)
		}
		m.Addr = a.String()
		twice := slices.ContainsFunc(members, func(o rememberedMember) bool { return o.Addr == m.Addr })
		if len(members) < maxRemembered && !twice {
			members = append(members, m)
		}
	}
	return members, nil
}

// saveMembers writes the file if the members have changed, at most once in
// membersFileInterval. A view of this node alone is never written: in a partition it
// would make the file forget the others. An error is logged; the next change tries again.
func (r *seeder) saveMembers(now time.Time) {
	cfg := &r.n.cfg
	if cfg.Discovery.MembersFile == "" || now.Sub(r.savedAt) < membersFileInterval {
		return
	}
	s := membersFile{Version: membersFileVersion, Cluster: cfg.Cluster}
	for _, m := range r.n.view.others() {
		if m.State != StateLeaving {
			s.Members = append(s.Members, rememberedMember{m.Name, m.Addr, m.ServerName})
		}
	}
	if len(s.Members) == 0 || slices.Equal(s.Members, r.saved) {
		return
	}
	r.savedAt, r.saved = now, s.Members
	if err := writeMembers(cfg.Discovery.MembersFile, s); err != nil {
		r.n.log.Warn("cannot write the file of the members", "file", cfg.Discovery.MembersFile, "err", err)
	}
}

// writeMembers replaces the file in one step, so that a crash leaves the old or the new
// one: it writes another file in the same directory, and renames that when its content
// is on the disk.
func writeMembers(file string, s membersFile) error {
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
