// Package gen reads contracts, which are marked interfaces in files named
// *.rpc.go, and writes their clients, servers and codecs.
//
// # Stages
//
// A run has four stages. Each knows only what the one before it has made.
//
//	load   list.go runs go list, load.go parses and type-checks the packages
//	       without ever compiling them, pattern.go says which are meant.
//	check  check.go goes through a package: source.go has its declarations,
//	       directive.go their marks, union.go its unions, method.go the
//	       signatures of its services, limits.go and resume.go what marks say of
//	       them, walk.go and fields.go the types of its messages, names.go the
//	       names that are taken. report.go collects what is wrong.
//	emit   emit.go writes a file for each definition file: output.go is its text,
//	       service.go and client.go write a service, with the views of
//	       method_template.go and resume_template.go, codec.go the functions of
//	       encode.go and decode.go, guard.go what finds a change that was not
//	       generated, descriptor.go the contract in JSON.
//	write  write.go puts files on disk, or compares them with what is there.
//
// Between check and emit stands the model, in model.go: services, methods, unions,
// fields. -breaking compares what is generated with what a git revision has:
// breaking.go and compare.go, with revision.go for git.
//
// # Rules
//
// A check reports and goes on, so that a run tells everything that is wrong.
// Nothing is written when anything is. The output depends on the sources alone:
// not on the order of maps, on time, or on the machine. A name that the generator
// needs and the user has taken is an error or gives way, and never a conflict
// that the compiler finds.
//
// Types are compared as text with full import paths where they are keys of maps:
// instances of generic types are different objects each time.
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
