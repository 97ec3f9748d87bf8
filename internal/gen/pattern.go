package gen

import (
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A pattern stands for packages of a main module: see go help packages.
//
// go list matches patterns itself, but only against what is there now.
// -breaking needs them for folders of an old revision as well.
type pattern struct {
	root string // the folder that has them all
	wild bool   // there is a ... in it
	re   *regexp.Regexp
}

// patterns returns the patterns for packages of main modules.
//
// They are regular expressions over absolute paths with slashes.
func (o Options) patterns() (out []pattern, err error) {
	for _, s := range o.Patterns {
		path, err := o.path(s)
		if err != nil {
			return nil, err
		}
		if path == "" {
			continue
		}
		// As go help packages has it: ... stands for any string, and
		// /... at the end for nothing as well.
		re := strings.ReplaceAll(regexp.QuoteMeta(filepath.ToSlash(path)), `\.\.\.`, `.*`)
		if rest, ok := strings.CutSuffix(re, "/.*"); ok {
			re = rest + "(/.*)?"
		}
		p := pattern{root: path, re: regexp.MustCompile("^" + re + "$")}
		// The root is the last folder in front of the wildcard: of
		// ./a/b... it is ./a.
		if before, _, ok := strings.Cut(path, "..."); ok {
			p.root, p.wild = filepath.Dir(before+"x"), true
		}
		out = append(out, p)
	}
	return out, nil
}

// path returns a pattern as an absolute path, or "".
//
// It is empty for what is not in a main module, such as std: there are no
// contracts of this repository in it.
func (o Options) path(pattern string) (string, error) {
	base, err := filepath.Abs(o.Dir)
	if err != nil {
		return "", err
	}
	switch first, _, _ := strings.Cut(filepath.ToSlash(pattern), "/"); {
	// A path on disk, else an import path, which begins with that of a main
	// module or stands for nothing here.
	case filepath.IsAbs(pattern):
		return filepath.Clean(pattern), nil
	case first == "." || first == "..":
		return filepath.Join(base, pattern), nil
	}
	// In a workspace there are several main modules.
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Path}}\t{{.Dir}}")
	cmd.Dir = o.Dir
	listed, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go list -m: %w", err)
	}
	for line := range strings.Lines(string(listed)) {
		module, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if rest, ok := strings.CutPrefix(pattern, module); ok && (rest == "" || rest[0] == '/') {
			return filepath.Join(dir, rest), nil
		}
	}
	return "", nil
}

// matches reports whether the pattern stands for a folder: not if it is in
// another module, now or by a go.mod among files.
//
// files are those of the revision: a go.mod that was there made the folder
// another module, as one that is there now does.
func (p pattern) matches(dir string, files []string) bool {
	if !p.re.MatchString(filepath.ToSlash(dir)) {
		return false
	}
	// Each folder between the root and the package decides: what is below
	// testdata is not meant either.
	for ; len(dir) > len(p.root); dir = filepath.Dir(dir) {
		if p.leavesOut(dir) || slices.Contains(files, filepath.Join(dir, "go.mod")) {
			return false
		}
	}
	return true
}

// leavesOut reports whether a wildcard passes over a folder below its root, and
// what is in it.
func (p pattern) leavesOut(dir string) bool {
	// The rules of go list for wildcards.
	name := filepath.Base(dir)
	return dir != p.root && (name[0] == '.' || name[0] == '_' || name == "testdata" || name == "vendor" || exists(filepath.Join(dir, "go.mod")))
}

// unlisted returns the definition files with a wrong name in folders that
// patterns with a wildcard stand for and go list leaves out, since there is no
// file for this platform in them.
func (o Options) unlisted(roots []*listed) (names []string, err error) {
	// A pattern without a wildcard names a package: go list says itself if
	// there is none.
	o.Patterns = slices.DeleteFunc(slices.Clone(o.Patterns), func(s string) bool { return !strings.Contains(s, "...") })
	patterns, err := o.patterns()
	if err != nil {
		return nil, err
	}
	for _, p := range patterns {
		_ = filepath.WalkDir(p.root, func(path string, d fs.DirEntry, err error) error {
			switch dir := filepath.Dir(path); {
			case err != nil: // go list has passed over it as well
			case d.IsDir() && p.leavesOut(path):
				return filepath.SkipDir
			case !d.IsDir() && hasWrongName(path) && p.matches(dir, nil) &&
				!slices.ContainsFunc(roots, func(r *listed) bool { return r.Dir == dir }):
				names = append(names, path)
			}
			return nil
		})
	}
	return names, nil
}
