// Package contexts keeps the contexts of the command: which cluster a name stands
// for, and with which certificates it is reached. They are in one file of the user.
package contexts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Context is how one cluster is reached. Empty fields have the defaults of the
// command.
type Context struct {
	// Addr is the host:port of any node.
	Addr string `json:"addr,omitempty"`
	// Dir is the folder of certificates. Cert, Key and CA are files in place of those
	// in Dir.
	Dir  string `json:"dir,omitempty"`
	Cert string `json:"cert,omitempty"`
	Key  string `json:"key,omitempty"`
	CA   string `json:"ca,omitempty"`
	// ServerName is what the node's certificate carries in place of the host of Addr.
	ServerName string `json:"server_name,omitempty"`
}

// A Set is all contexts of a user.
type Set struct {
	// Current is the name of the one that counts if none is chosen, "" for none.
	Current string `json:"current,omitempty"`
	// Contexts are the contexts by name.
	Contexts map[string]Context `json:"contexts"`
}

// maxFile is the size of the largest file that is read, in bytes.
const maxFile = 1 << 20

// Load reads the file. A file that does not exist is an empty set. Errors name the
// file.
func Load(path string) (*Set, error) {
	s := &Set{Contexts: map[string]Context{}}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err != nil:
		return nil, err
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s: %d bytes are no file of contexts: want at most %d", path, info.Size(), maxFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // a word that is spelt wrong would be left out in silence
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("%s: %w: mend the file or remove it", path, err)
	}
	if s.Contexts == nil {
		s.Contexts = map[string]Context{}
	}
	return s, nil
}

// Save writes the file so that only its owner can read it, and makes its folder if
// there is none. Readers see the old file or the new one, and never a part.
func (s *Set) Save(path string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after the rename
	_, err = f.Write(append(b, '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Names returns the names of the contexts, sorted.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.Contexts)) }

// Get returns the context of that name. The error lists those that there are.
func (s *Set) Get(name string) (Context, error) {
	c, ok := s.Contexts[name]
	switch {
	case ok:
		return c, nil
	case len(s.Contexts) == 0:
		return c, fmt.Errorf("no context %q: there are none yet; make it with: rpcnet context add %s -addr HOST:PORT -dir FOLDER", name, name)
	}
	return c, fmt.Errorf("no context %q: there are %s", name, strings.Join(s.Names(), ", "))
}

// CheckName returns an error if name cannot be that of a context: it appears in
// command lines and in shells.
func CheckName(name string) error {
	if name == "" || len(name) > 64 {
		return fmt.Errorf("name %.70q: want 1 to 64 letters, digits, '-', '_' and '.'", name)
	}
	for i, r := range name {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', i > 0 && (r == '-' || r == '_' || r == '.'):
		default:
			return fmt.Errorf("name %q: %q does not belong there: want letters, digits, '-', '_' and '.', a letter or a digit first", name, r)
		}
	}
	return nil
}
