package gen

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// listed is what go list says of a package.
//
// It has the names that go list uses for its fields.
type listed struct {
	Dir, ImportPath, Name, Export string
	GoFiles, CgoFiles             []string
	IgnoredGoFiles                []string // excluded by build constraints
	ImportMap                     map[string]string
	Module                        *struct{ Path string }
	Error                         *struct{ Pos, Err string }
}

// files returns the Go files that are compiled on this platform. Those with cgo
// are among them: their types are needed, and not their C code.
func (l *listed) files() []string {
	return append(l.GoFiles[:len(l.GoFiles):len(l.GoFiles)], l.CgoFiles...)
}

// module returns the path of the package's module, "" for the standard library.
func (l *listed) module() string {
	if l.Module == nil {
		return ""
	}
	return l.Module.Path
}

// golist runs go list -e. Packages that are wrong come back with their Error
// set.
//
// It runs in the folder of the options, with their build tags, so that it sees
// the packages as the user's build does.
func golist(o Options, args ...string) ([]*listed, error) {
	// -e lists a package also if it does not compile: it may wait for
	// generation.
	all := []string{"list", "-e"}
	if o.Tags != "" {
		all = append(all, "-tags="+o.Tags)
	}
	// The go command is that of the user's PATH, which builds the package
	// as well.
	cmd := exec.Command("go", append(all, args...)...)
	cmd.Dir = o.Dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		// The exit status alone says nothing: go list has told on
		// standard error what is wrong.
		var exit *exec.ExitError
		if errors.As(err, &exit) && stderr.Len() > 0 {
			return nil, fmt.Errorf("go list: %s", strings.TrimSpace(stderr.String()))
		}
		return nil, fmt.Errorf("go list: %w", err)
	}
	var ps []*listed
	// The output is one JSON object after another, without commas.
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(listed)
		if err := d.Decode(p); err == io.EOF {
			return ps, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		ps = append(ps, p)
	}
}
