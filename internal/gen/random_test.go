package gen_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/gen"
)

var randomSeed = flag.Uint64("seed", 1, "of the random contracts")

// A contractor writes random contracts: structs with everything that a message
// may hold, unions, recursion, and tags.
type contractor struct {
	*rand.Rand
	structs, unions int
}

func (c *contractor) pick(from ...string) string { return from[c.IntN(len(from))] }

func (c *contractor) basic() string {
	return c.pick("string", "string", "int", "uint16", "int8", "bool", "float64", "float32", "[]byte", "[4]byte",
		"time.Time", "time.Duration", "netip.Addr", "cbor.Raw")
}

// typ returns a type; a struct by value only from below max, so that none
// holds itself.
func (c *contractor) typ(below, depth int) string {
	if depth > 3 {
		return c.basic()
	}
	inner := func() string { return c.typ(c.structs, depth+1) } // behind a list, any struct will do
	switch n := c.IntN(16); {
	case n < 6:
		return c.basic()
	case n < 9:
		return "[]" + inner()
	case n == 9:
		return "map[" + c.pick("string", "int", "uint8") + "]" + inner()
	case n == 10:
		return "[" + c.pick("1", "3") + "]" + c.typ(below, depth+1)
	case n < 13:
		return fmt.Sprintf("*T%d", c.IntN(c.structs))
	case n == 13 && c.unions > 0:
		return fmt.Sprintf("U%d", c.IntN(c.unions))
	case below > 0:
		return fmt.Sprintf("T%d", c.IntN(below))
	}
	return "[]string"
}

func (c *contractor) field(i, below int, numbers bool) string {
	typ := c.typ(below, 0)
	tag := ""
	if numbers {
		tag = fmt.Sprintf(",key=%d", i+1)
	}
	switch {
	case typ == "[]float64" || typ == "[]float32" || typ == "[]int8" || typ == "[]uint16":
		tag += ",packed"
	case c.IntN(2) == 0 && (strings.HasPrefix(typ, "*") || strings.HasPrefix(typ, "[]") || strings.HasPrefix(typ, "map") ||
		typ == "string" || typ == "int" || strings.HasPrefix(typ, "U")):
		tag += ",omitempty"
	case c.IntN(10) == 0 && !numbers:
		return fmt.Sprintf("F%d %s `rpc:\"-\"`", i, typ)
	}
	if tag == "" {
		return fmt.Sprintf("F%d %s", i, typ)
	}
	return fmt.Sprintf("F%d %s `rpc:\"%s\"`", i, typ, tag)
}

// contract returns the source of a package, and the code that tries its
// messages.
func (c *contractor) contract(pkg string) (source, try string) {
	c.structs, c.unions = 2+c.IntN(5), c.IntN(3)
	var b, methods, calls strings.Builder
	for i := range c.structs {
		fmt.Fprintf(&b, "type T%d struct {\n", i)
		numbers := c.IntN(4) == 0
		for f := range 1 + c.IntN(12) {
			fmt.Fprintf(&b, "\t%s\n", c.field(f, i, numbers))
		}
		b.WriteString("}\n\n")
		fmt.Fprintf(&methods, "\tM%d(ctx context.Context, m *T%d) (*T%d, error)\n", i, i, i)
		fmt.Fprintf(&calls, "\tfits(r, gentest.Specs(func(tr rpcnet.Transport) { %s.NewSClient(tr).M%d(ctx, nil) }), new(%s.T%d))\n", pkg, i, pkg, i)
	}
	variants := ""
	for u := range c.unions {
		fmt.Fprintf(&b, "//rpcnet:union\ntype U%d interface{ isU%d() }\n\n", u, u)
		fmt.Fprintf(&methods, "\tN%d(ctx context.Context, u U%d) (U%d, error)\n", u, u, u)
		fmt.Fprintf(&calls, "\tfits(r, gentest.Specs(func(tr rpcnet.Transport) { %s.NewSClient(tr).N%d(ctx, nil) }), new(%s.U%d))\n", pkg, u, pkg, u)
		var values []string
		for v := range 1 + c.IntN(3) {
			star, value := "", fmt.Sprintf("%s.U%dV%d{}", pkg, u, v)
			if c.IntN(2) == 0 {
				star, value = "*", "&"+value
			}
			fmt.Fprintf(&b, "type U%dV%d struct {\n\t%s\n\t%s\n}\n\nfunc (%sU%dV%d) isU%d() {}\n\n", u, v, c.field(0, c.structs, false), c.field(1, c.structs, false), star, u, v, u)
			values = append(values, "reflect.ValueOf("+value+")")
		}
		variants += fmt.Sprintf("reflect.TypeFor[%s.U%d](): {%s},\n", pkg, u, strings.Join(values, ", "))
	}
	source = fmt.Sprintf("package %s\n\nimport (\n\t\"context\"\n\t\"net/netip\"\n\t\"time\"\n\n\t\"github.com/rpcnet-go/rpcnet/codegen/cbor\"\n)\n\n"+
		"var (\n\t_ netip.Addr\n\t_ time.Time\n\t_ cbor.Raw\n)\n\n//rpcnet:service %s\ntype S interface {\n%s}\n\n%s", pkg, pkg, methods.String(), b.String())
	return source, fmt.Sprintf("\tr.Variants = map[reflect.Type][]reflect.Value{%s}\n%s", variants, calls.String())
}

// TestFieldRandomContractsFit generates random contracts with the real
// generator, compiles them in one go, and tries random values of each message:
// what is encoded under the default limits, or some others, is decoded under the
// same.
func TestFieldRandomContractsFit(t *testing.T) {
	t.Parallel()
	const contracts = 25
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A path below that of the module may import its internal packages.
	const module = "github.com/rpcnet-go/rpcnet/internal/gen/random"
	write("go.mod", "module "+module+"\n\ngo 1.26.0\n\nrequire github.com/rpcnet-go/rpcnet v0.0.0\n\nreplace github.com/rpcnet-go/rpcnet => "+root+"\n")
	write("go.sum", string(sum))
	seed := *randomSeed
	c := &contractor{Rand: rand.New(rand.NewPCG(seed, 1))}
	var imports, tries strings.Builder
	for i := range contracts {
		pkg := fmt.Sprintf("p%d", i)
		source, try := c.contract(pkg)
		write(pkg+"/s.rpc.go", source)
		fmt.Fprintf(&imports, "\t%q\n", module+"/"+pkg)
		tries.WriteString(try)
	}
	write("main.go", fmt.Sprintf(randomMain, imports.String(), seed, tries.String()))
	res, err := gen.Generate(gen.Options{Dir: dir, Patterns: []string{"./..."}})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range res.Diags {
		t.Errorf("seed %d: %v", seed, d)
	}
	if t.Failed() {
		return
	}
	if _, err := gen.Write(res); err != nil {
		t.Fatal(err)
	}
	run := exec.Command("go", "run", "-mod=mod", ".")
	run.Dir = dir
	out, err := run.CombinedOutput()
	if t.Logf("seed %d: %s", seed, out); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
}

const randomMain = `package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/gen/gentest"

%s)

var tally gentest.Tally

func fits(r *gentest.Filler, specs []*rpcnet.Spec, msg any) {
	m := specs[0].Request
	var before []byte
	for range 200 {
		v := reflect.New(reflect.TypeOf(msg).Elem())
		if r.Fill(v.Elem()); v.Elem().Kind() == reflect.Interface && v.Elem().IsNil() {
			continue
		}
		err := tally.Fits(m, v.Interface())
		if in, failed := gentest.Encode(m, v.Interface()); err == nil && failed == nil {
			err = gentest.Memory(m, func() any { return reflect.New(v.Type().Elem()).Interface() }, in, before)
			before = in
		}
		if err != nil {
			fmt.Println(specs[0].Procedure, err)
			os.Exit(1)
		}
	}
}

func main() {
	ctx := context.Background()
	r := &gentest.Filler{Rand: rand.New(rand.NewPCG(%d, 2))}
%s
	fmt.Printf("%%+v", tally)
	if tally.Taken == 0 || tally.TooDeep == 0 || tally.TooDear == 0 {
		os.Exit(1)
	}
}
`
