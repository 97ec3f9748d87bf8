package gen

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// imports are what fuzzed definitions, and what is generated from them, may
// import.
var imports = []string{"context", "errors", "iter", "math/big", "net/netip", "net/url", "strconv", "time",
	"google.golang.org/protobuf/types/known/wrapperspb", rootPath, stubPath, cborPath, schemaPath, protoPath,
	rootPath + "/internal/gen/testdata/golden/shared"}

// A workshop generates from sources in memory, with imports loaded once.
type workshop struct {
	mu     sync.Mutex
	byPath map[string]*listed
	export types.Importer
}

func newWorkshop(t testing.TB) *workshop {
	t.Helper()
	fields := "-json=Dir,ImportPath,Name,Export,GoFiles,CgoFiles,ImportMap,Module"
	deps, err := golist(Options{}, append([]string{"-export", "-deps", fields, "--"}, imports...)...)
	if err != nil {
		t.Fatal(err)
	}
	w := &workshop{byPath: map[string]*listed{}}
	for _, d := range deps {
		w.byPath[d.ImportPath] = d
	}
	w.export = importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		if d := w.byPath[path]; d != nil && d.Export != "" {
			return os.Open(d.Export)
		}
		return nil, fmt.Errorf("no export data for %q", path)
	})
	return w
}

// make generates from sources, which are the definition files of a package, and
// type-checks the result: as a whole, and the files without a build constraint
// alone.
func (w *workshop) make(srcs ...string) (diags []Diag, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	const path = rootPath + "/internal/gen/fuzz"
	l := &loader{fset: token.NewFileSet(), byPath: maps.Clone(w.byPath), done: map[string]*pkg{}, export: w.export}
	l.byPath[path] = &listed{ImportPath: path, Dir: os.TempDir()}
	p := &pkg{path: path}
	for i, src := range srcs {
		name := filepath.Join(os.TempDir(), fmt.Sprintf("fuzz%d.rpc.go", i))
		f, err := parser.ParseFile(l.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil || f == nil {
			return []Diag{{Msg: fmt.Sprint(err)}}, nil
		}
		p.name, p.syntax = f.Name.Name, append(p.syntax, f)
	}
	l.done[path] = p
	c := newChecker(l, l.check(path))
	if c.check(); len(c.diags) > 0 {
		return c.diags, nil
	}
	files, err := c.emit()
	if err != nil {
		return nil, err
	}
	all := p.syntax
	for _, out := range files {
		g, err := parser.ParseFile(l.fset, out.Name, out.Src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	var first error
	cfg := types.Config{Importer: l, Error: func(err error) {
		// What is wrong in the bodies of the definition files is the user's.
		if e, ok := err.(types.Error); ok && isGen(e.Fset.Position(e.Pos).Filename) && first == nil {
			first = fmt.Errorf("what is generated does not compile: %w", err)
		}
	}}
	_, _ = cfg.Check(path, l.fset, all, nil)
	everywhere := slices.DeleteFunc(slices.Clone(all), func(f *ast.File) bool { return buildLine(f) != "" })
	_, _ = cfg.Check(path, l.fset, everywhere, nil)
	return nil, first
}

func seeds(t testing.TB) (out []string) {
	t.Helper()
	for _, glob := range []string{"golden/kinds/kinds.rpc.go", "golden/evo/*.rpc.go", "golden/hostile/*.rpc.go", "golden/shared/*.rpc.go", "bad/*/*.rpc.go"} {
		names, err := filepath.Glob(filepath.Join("testdata", glob))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			b, err := os.ReadFile(n)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(b))
		}
	}
	return out
}

// parts are what mutations put in the place of other parts.
var parts = strings.Fields(`string int8 uint64 []byte []string *string **int map[string]int map[float64]bool any error
	time.Time *time.Duration *All All Answer Failure shared.Event *shared.Event shared.Page[int] shared.Page[Node] [3]Node
	iter.Seq2[*Tick,error] iter.Seq[*Tick] context.Context chan[] func() struct{} interface{} []Answer map[int8]Answer
	cbor.Raw *cbor.Raw *wrapperspb.StringValue netip.Addr big.Int b d v f n k err ok rpcnet cbor schema errors context
	Unary Feed Node Point X name len append //rpcnet:union //rpcnet:errors //rpcnet:inline //rpcnet:route
	rpc:",packed" rpc:",omitempty" rpc:",max=3" rpc:",key=7" json:"-" ( ) { } * [] . , =`)

// mutate replaces words of src by other words of it, or by parts.
func mutate(r *rand.Rand, src string) string {
	for range 1 + r.IntN(2) {
		words := strings.FieldsFunc(src, func(c rune) bool { return strings.ContainsRune(" \t\n(){}*`", c) })
		if len(words) == 0 {
			return src
		}
		old := words[r.IntN(len(words))]
		with := parts[r.IntN(len(parts))]
		if r.IntN(3) == 0 {
			with = words[r.IntN(len(words))]
		}
		if n := strings.Count(src, old); n > 0 {
			at := 0
			for range 1 + r.IntN(min(n, 5)) {
				if i := strings.Index(src[at:], old); i >= 0 {
					at += i + 1
				}
			}
			src = src[:at-1] + with + src[at-1+len(old):]
		}
	}
	return src
}

// TestMutatedDefinitionsAreRefusedOrCompile: whatever passes the checks gives
// code that compiles, and nothing panics.
func TestMutatedDefinitionsAreRefusedOrCompile(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	all := seeds(t)
	if _, err := w.make(all[0]); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	good := 0
	const tries = 80
	for range tries {
		src := mutate(r, all[r.IntN(len(all))])
		if r.IntN(2) == 0 {
			src = mutate(r, all[0])
		}
		diags, err := w.make(src)
		if err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
		if len(diags) == 0 {
			good++
		}
	}
	if good < tries/20 || good > tries*19/20 {
		t.Errorf("%d of %d mutations are good definitions: the test says little", good, tries)
	}
	t.Logf("%d of %d compile, the rest is refused", good, tries)
}

func FuzzDefinitions(f *testing.F) {
	w := newWorkshop(f)
	for i, s := range seeds(f) {
		f.Add(s, uint64(i))
	}
	f.Fuzz(func(t *testing.T, src string, seed uint64) {
		for _, s := range []string{src, mutate(rand.New(rand.NewPCG(seed, 0)), src)} {
			if _, err := w.make(s); err != nil {
				t.Fatalf("%v\n%s", err, s)
			}
		}
	})
}
