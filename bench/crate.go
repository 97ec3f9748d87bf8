package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// cargo is the command that builds peers in Rust.
const cargo = "cargo"

// buildCrates builds the programs of the libraries that are not in Go. It returns
// those libraries that can be measured, and a line for each that cannot because
// cargo is missing. What cargo builds stays in the user's cache.
func buildCrates(all []*library) (usable []*library, skipped []string, err error) {
	for _, l := range all {
		if l.crate == "" {
			usable = append(usable, l)
			continue
		}
		if _, err := exec.LookPath(cargo); err != nil {
			skipped = append(skipped, l.name+" is left out: "+cargo+" is not installed, which builds bench/"+l.crate)
			continue
		}
		if l.program, err = buildCrate(l.crate); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", l.name, err)
		}
		usable = append(usable, l)
	}
	return usable, skipped, nil
}

// buildCrate builds the program of a crate and returns its path.
func buildCrate(crate string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	target := filepath.Join(cache, "rpcnet-bench", filepath.Base(crate))
	cmd := exec.Command(cargo, "build", "--release", "--locked", "--quiet", "--target-dir", target)
	cmd.Dir = crate
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cargo build in bench/%s: %w\n%s", crate, err, out)
	}
	return filepath.Join(target, "release", filepath.Base(crate)+"-peer"), nil
}

// crateVersion returns the version of a crate that the lock file of another
// names.
func crateVersion(crate, of string) (string, error) {
	lock, err := os.ReadFile(filepath.Join(crate, "Cargo.lock"))
	if err != nil {
		return "", err
	}
	_, rest, ok := bytes.Cut(lock, []byte("name = \""+of+"\"\nversion = \""))
	if !ok {
		return "", errors.New("bench/" + crate + "/Cargo.lock does not name " + of)
	}
	version, _, _ := strings.Cut(string(rest), "\"")
	return "v" + version, nil
}
