package gen

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

// services are descriptors by the name of their service.
type services = map[string]*schema.Schema

// descriptors returns the descriptors in a generated file.
//
// A generated file is not parsed as Go: one of an old revision can be of an old
// form, or a merge conflict. The descriptor is a raw string, in which there is
// no backquote.
func descriptors(src []byte) (services, error) {
	out := services{}
	for rest := string(src); ; {
		_, after, ok := strings.Cut(rest, "Descriptor = `")
		if !ok {
			return out, nil
		}
		text, next, ok := strings.Cut(after, "`")
		if !ok {
			return nil, errors.New("the descriptor has no end: generate the file again")
		}
		s, err := schema.Parse(text)
		if err != nil {
			return nil, err
		}
		out[s.Service] = s
		rest = next
	}
}

// unread returns the services of the generated files of a folder that have a
// definition which was not read, since it is for other platforms.
//
// Without them a run on Linux would find a service for Windows gone.
func unread(dir string, read []File) (services, error) {
	names, err := generatedFiles(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	out := services{}
	for _, name := range names {
		// Without a definition it is an orphan, which the run removes:
		// its service is gone.
		if !exists(defName(name)) || slices.ContainsFunc(read, func(f File) bool { return f.Name == name }) {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		ss, err := descriptors(src)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for s, v := range ss {
			out[s] = v
		}
	}
	return out, nil
}

// atRevision returns the services that the generated files of a folder had at
// a revision, and their files.
//
// The generated files are what is compared, and not the definitions: nothing of
// an old revision has to compile.
func atRevision(dir, rev string) (services, map[string]string, error) {
	files, err := filesAt(dir, rev, false)
	if err != nil {
		return nil, nil, err
	}
	all, names := services{}, map[string]string{}
	// Other files of the folder are listed too.
	for _, name := range files {
		if !isGen(name) {
			continue
		}
		// A path with ./ in front is relative to the folder where git
		// runs, which can be one further up if the package's folder is
		// gone.
		from, path := existing(name)
		src, err := git(from, "show", rev+":./"+path)
		if err != nil {
			return nil, nil, err
		}
		ss, err := descriptors(src)
		if err != nil {
			return nil, nil, fmt.Errorf("%s at %s: %w", name, rev, err)
		}
		for s, v := range ss {
			all[s], names[s] = v, name
		}
	}
	return all, names, nil
}

// foldersAt returns the folders that the patterns match and that had generated
// files at a revision.
//
// They can be gone by now, with everything in them.
func foldersAt(o Options, rev string) (map[string]bool, error) {
	patterns, err := o.patterns()
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, p := range patterns {
		files, err := filesAt(p.root, rev, p.wild)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			// The patterns are applied as go list would: what is in
			// testdata, or another module, is not meant.
			if dir := filepath.Dir(f); isGen(f) && p.matches(dir, files) {
				out[dir] = true
			}
		}
	}
	return out, nil
}

// filesAt returns the absolute paths of the files of a folder at a revision.
// The folder need not exist now.
func filesAt(dir, rev string, recursive bool) ([]string, error) {
	from, path := existing(dir)
	// -z keeps names with spaces and other letters as they are.
	args := []string{"ls-tree", "--name-only", "-z", rev, "./"}
	if path != "." {
		args[4] += path + "/"
	}
	if recursive {
		args = slices.Insert(args, 1, "-r")
	}
	// An error here is one of the revision: a folder that it has not gives
	// an empty list.
	listed, err := git(from, args...)
	if err != nil {
		return nil, err
	}
	var out []string
	for name := range strings.SplitSeq(string(listed), "\x00") {
		if name != "" {
			out = append(out, filepath.Join(from, filepath.FromSlash(name)))
		}
	}
	return out, nil
}

// existing splits a path into the longest part of it that is a folder, and the
// rest with slashes.
func existing(path string) (dir, rest string) {
	// The root always exists, so that the loop has an end.
	for dir = path; ; dir = filepath.Dir(dir) {
		if fi, err := os.Stat(dir); err == nil && fi.IsDir() || dir == filepath.Dir(dir) {
			rest, _ = filepath.Rel(dir, path)
			return dir, filepath.ToSlash(rest)
		}
	}
}

// git runs git in a folder and returns what it prints. The error has what it
// says.
func git(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		// git says what is wrong, such as a revision that does not
		// exist.
		if errors.As(err, &exit) {
			return nil, fmt.Errorf("git %s: %s", args[0], strings.TrimSpace(stderr.String()))
		}
		return nil, fmt.Errorf("git: %w", err)
	}
	return out, nil
}
