// Package gen reads contracts, which are marked interfaces in files named
// *.rpc.go, and writes their clients, servers and codecs.
//
// The stages, each in its own files: load (list, load, pattern) parses and
// type-checks the packages without ever compiling them; check (directive,
// contract, method, union, walk, fields, names) turns marked declarations into
// the model and collects everything that is wrong; emit (emit, service, encode,
// decode, guard, descriptor) writes source from the model; write puts it on
// disk, or compares. Breaking (breaking, revision) compares with what a git
// revision has.
package gen

const (
	// The ends of the names of definition files and of generated ones.
	defSuffix = ".rpc.go"
	genSuffix = "_rpcnet.gen.go"

	// The packages that generated code imports.
	rootPath    = "github.com/rpcnet-go/rpcnet"
	codegenPath = rootPath + "/codegen"
	stubPath    = codegenPath + "/stub"
	cborPath    = codegenPath + "/cbor"
	schemaPath  = codegenPath + "/schema"
	protoPath   = codegenPath + "/protobuf"
)

// Options say what to read.
type Options struct {
	Dir      string   // where go list runs; "" is the current directory
	Tags     string   // build tags, as for go build
	Patterns []string // package patterns; none is "."
}

// A File is a generated file.
type File struct {
	Name string // absolute path
	Src  []byte

	places places // of what its descriptors describe
}

// A Result is what a run found.
type Result struct {
	Files   []File   // complete sources, in the order of their packages
	Orphans []string // generated files that no definition stands behind
	Diags   []Diag   // if there are any, Files and Orphans are not complete

	opts Options // what was asked for
}

// Generate reads the packages and returns what their generated files should
// be. It writes nothing. The error says why it could not run; what is wrong
// with the definitions is in the result.
//
// An error in a package stops neither the checks of that package nor of others;
// but nothing is generated for it.
func Generate(o Options) (*Result, error) {
	if len(o.Patterns) == 0 {
		o.Patterns = []string{"."}
	}
	pkgs, l, err := load(o)
	if err != nil {
		return nil, err
	}
	res := Result{opts: o}
	for _, name := range l.unlisted {
		res.Diags = append(res.Diags, nameDiag(name))
	}
	for _, p := range pkgs {
		c := newChecker(l, p)
		c.check()
		res.Diags = append(res.Diags, c.diags...)
		if len(c.diags) > 0 {
			continue
		}
		files, err := c.emit()
		if err != nil {
			return nil, err
		}
		res.Files = append(res.Files, files...)
		orphans, err := c.orphans(files)
		if err != nil {
			return nil, err
		}
		res.Orphans = append(res.Orphans, orphans...)
	}
	sortDiags(res.Diags)
	return &res, nil
}
