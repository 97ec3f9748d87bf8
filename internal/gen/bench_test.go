package gen_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/gen"
)

// BenchmarkFiftyMethods measures a whole run on a contract of 50 methods with
// 100 messages of their own, with what it imports in the build cache:
//
//	go test -run '^$' -bench FiftyMethods -benchtime 10x -count 5 ./internal/gen
func BenchmarkFiftyMethods(b *testing.B) {
	const methods = 50
	var service, messages strings.Builder
	shapes := []string{
		"(ctx context.Context, req *Req%[1]d) (*Res%[1]d, error)",
		"(ctx context.Context, req *Req%[1]d) iter.Seq2[*Res%[1]d, error]",
		"(ctx context.Context, in iter.Seq2[*Req%[1]d, error]) (*Res%[1]d, error)",
		"(ctx context.Context, in iter.Seq2[*Req%[1]d, error]) iter.Seq2[*Res%[1]d, error]",
	}
	for i := range methods {
		fmt.Fprintf(&service, "\t// M%d is a method.\n\tM%d"+shapes[i%len(shapes)]+"\n", i, i)
		for _, kind := range []string{"Req", "Res"} {
			fmt.Fprintf(&messages, "// %s%d is a message.\ntype %[1]s%[2]d struct {\n\tID uint64\n\tName string\n\tAt time.Time\n\tTags map[string]string\n\tItems []Item\n}\n\n", kind, i)
		}
	}
	src := "package fifty\n\nimport (\n\t\"context\"\n\t\"iter\"\n\t\"time\"\n)\n\n//rpcnet:service\ntype Fifty interface {\n" +
		service.String() + "}\n\n" + messages.String() + "type Item struct {\n\tPrice float64\n\tCount int\n}\n"
	dir := b.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.com/fifty\n\ngo 1.26.0\n", "fifty.rpc.go": src} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	run := func() {
		if err := os.RemoveAll(filepath.Join(dir, "fifty_rpcnet.gen.go")); err != nil {
			b.Fatal(err)
		}
		res, err := gen.Generate(gen.Options{Dir: dir})
		if err != nil || len(res.Diags) > 0 {
			b.Fatal(err, res)
		}
		if wrote, err := gen.Write(res); err != nil || len(wrote) != 1 {
			b.Fatal(err, wrote)
		}
	}
	run() // fills the build cache
	for b.Loop() {
		run()
	}
}
