package gen

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
)

// This file looks at the names of files and at their build constraints.

// knownOS and knownArch are the file-name suffixes that go build reads as
// constraints (go/build/syslist.go).
var (
	// The lists are copied, since package build keeps them to itself. They
	// change seldom.
	knownOS = strings.Fields(`aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9
		solaris wasip1 windows zos`)
	knownArch = strings.Fields(`386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le mips64p32
		mips64p32le ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm`)
)

// wrongName says what is wrong with the name of a definition file, or "": some
// names mean one thing to go build with the ending .rpc.go and another with
// _rpcnet.gen.go, since it looks for a GOOS, GOARCH or test suffix before the
// first dot.
//
// A file a_linux.rpc.go has the stem "a_linux" to go build, and is for Linux;
// a_linux_rpcnet.gen.go has "a_linux_rpcnet", and is for all. The contract
// would be limited, and not its code.
func wrongName(path string) string {
	base := strings.TrimSuffix(filepath.Base(path), defSuffix)
	platform := platformSuffix(base)
	switch {
	case base == "":
		return "give it a name before " + defSuffix
	// a_linux.v1.rpc.go is limited by what is in front of the first dot,
	// which is easy to miss.
	case strings.Contains(base, "."):
		return "a dot inside the name hides build constraints; use an underscore"
	case strings.HasSuffix(base, "_test"):
		return "it looks like a test file and is none; rename it"
	case platform != "":
		return fmt.Sprintf("the suffix _%s limits it to one platform, but not what is generated; rename it and write //go:build %s", platform, platform)
	}
	return ""
}

// platformSuffix returns the GOOS or GOARCH at the end of a file name, or "".
//
// Only the last part of a name counts, and not one that is all of it: linux.go
// is for every platform.
func platformSuffix(path string) string {
	stem, _, _ := strings.Cut(filepath.Base(path), ".")
	last := stem[strings.LastIndex(stem, "_")+1:]
	if last != stem && (slices.Contains(knownOS, last) || slices.Contains(knownArch, last)) {
		return last
	}
	return ""
}

// hasWrongName reports whether a definition file has a name that go build takes
// in two ways.
func hasWrongName(path string) bool { return isDef(path) && wrongName(path) != "" }

// nameDiag returns the error for such a file, at its first line.
func nameDiag(path string) Diag {
	return Diag{token.Position{Filename: path, Line: 1, Column: 1}, fmt.Sprintf("file name %s: %s", filepath.Base(path), wrongName(path))}
}

// buildLine returns the //go:build line of a file, or "".
func buildLine(f *ast.File) string {
	for _, g := range f.Comments {
		// A build constraint stands above the package clause.
		if g.Pos() > f.Package {
			break
		}
		for _, cm := range g.List {
			if constraint.IsGoBuild(cm.Text) {
				return cm.Text
			}
		}
	}
	return ""
}

// genName returns the generated file of a definition file.
//
// It stands beside the definition file and has its name: greeting.rpc.go has
// greeting_rpcnet.gen.go.
func genName(def string) string {
	return strings.TrimSuffix(def, defSuffix) + genSuffix
}

// defName returns the definition file of a generated file.
func defName(gen string) string {
	return strings.TrimSuffix(gen, genSuffix) + defSuffix
}

// isDef reports whether a file is a definition file by its name, isGen whether
// it is a generated one.
func isDef(name string) bool { return strings.HasSuffix(name, defSuffix) }
func isGen(name string) bool { return strings.HasSuffix(name, genSuffix) }
