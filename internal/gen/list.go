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
type listed struct {
	Dir, ImportPath, Name, Export string
	GoFiles, CgoFiles             []string
	IgnoredGoFiles                []string // excluded by build constraints
	ImportMap                     map[string]string
	Module                        *struct{ Path string }
	Error                         *struct{ Pos, Err string }
}

func (l *listed) files() []string {
	return append(l.GoFiles[:len(l.GoFiles):len(l.GoFiles)], l.CgoFiles...)
}

func (l *listed) module() string {
	if l.Module == nil {
		return ""
	}
	return l.Module.Path
}

// golist runs go list -e. Packages that are wrong come back with their Error
// set.
func golist(o Options, args ...string) ([]*listed, error) {
	all := []string{"list", "-e"}
	if o.Tags != "" {
		all = append(all, "-tags="+o.Tags)
	}
	cmd := exec.Command("go", append(all, args...)...)
	cmd.Dir = o.Dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && stderr.Len() > 0 {
			return nil, fmt.Errorf("go list: %s", strings.TrimSpace(stderr.String()))
		}
		return nil, fmt.Errorf("go list: %w", err)
	}
	var ps []*listed
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
